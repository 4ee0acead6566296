"""The configuration of a web server, replaced all or none (the module edge_configuration).

files      what is the same for every server
nginx      what differs: how it is asked, and what it lets pass
apache     the same for Apache
ports      who listens where on this host
replacing  one run of the module
"""
