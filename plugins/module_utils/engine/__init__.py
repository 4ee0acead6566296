"""The release engine: what a release is, how one is made, and how it gets the traffic. It runs on the server, as root.

record       one release, and what is known about it
application  the releases of an application, and which of them can be gone back to
lock         one deploy at a time, and the log of their outcomes
build        <home>/next becomes <home>/releases/<id>
install      the release's virtualenv
publish      its static files, as far as visitors may have them
sandbox      the application's files are run, read and copied with the rights of one of its users
prestart     migrations and the like, once for a release
database     whether it answers, for the message of a release that failed
gate         it starts on its own socket and must answer
protocol     what the edge speaks to the application, and which releases understand it
traffic      which instance the edge connects to, and which others still run
activation   it gets the traffic, and what had it before is stopped
removal      the application is removed from the host
status       what there is, and how it is
module       what the Ansible modules that call the engine share
"""
