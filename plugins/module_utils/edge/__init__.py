"""The configuration of a web server, replaced all or none (the module edge_configuration).

files      what is the same for every server
nginx      what differs: how nginx tests a configuration, and which mistakes it accepts
apache     the same for Apache
secrets    files that only the server may read
ports      which programs listen on this host
replacing  one run of the module
"""
