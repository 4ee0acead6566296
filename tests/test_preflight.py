"""What preflight says of an application's variables, asked on the control machine: all cases are hosts of one run.

That nothing has changed by then, and what only a server can tell, is asked by the scenario `default`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin import ROOT

GOOD = {"app_name": "guestbook", "app_source": str(ROOT / "app")}
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n"
PAGES = {
    "edge_upstream_socket": "",
    "edge_static_url": "/",
    "edge_static_roots": ["/srv/x"],
    "edge_static_kinds": ["css"],
}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"app_name": ""}, 'app_name: "" cannot name an application. Set it in the inventory'),
    ({"app_name": "Guest Book"}, 'app_name: "Guest Book" cannot name an application'),
    ({"app_name": "guest-book"}, 'app_name: "guest-book" cannot name'),
    ({"app_name": "x; rm -rf /"}, 'app_name: "x; rm -rf /" cannot name'),
    ({"app_name": "a" * 32}, "cannot name an application"),
    ({"app_name": "a" * 27}, f"app_name: {'a' * 27} has 27 characters, too many for the user"),
    ({"app_name": "postgres"}, 'app_name: "postgres" cannot name'),
    ({"app_name": "guestbook\n"}, "cannot name an application"),
    ({"app_name": "public"}, 'app_name: "public" cannot name'),
    ({"app_name": "_apt"}, 'app_name: "_apt" cannot name'),
    ({"app_name": 7}, 'app_name: "7" cannot name'),
    ({"app_source": ""}, "app_source: the folder '' does not exist on the control machine. Name an existing folder"),
    ({"app_source": "/no/such/folder"}, "app_source: the folder '/no/such/folder' does not exist"),
    ({"app_source": "file:///no/such.git"}, "app_source, app_source_ref: git cannot fetch 'HEAD'"),
    ({"app_source": str(ROOT), "app_source_ref": "no-such-ref"}, "git cannot fetch 'no-such-ref'"),
    ({"app_source_path": "nowhere"}, "app_source: the folder"),
    ({"app_env": {"A-B": "1"}}, "app_env: A-B cannot name an environment variable"),
    ({"app_build_env": {"A-B": "1"}}, "app_build_env: A-B cannot name an environment variable"),
    (
        {"app_build_deploy_key": "~/.ssh/id_ed25519"},
        "app_build_deploy_key: it is not a private key, which begins with -----BEGIN",
    ),
    (
        {"app_build_deploy_key": KEY, "app_packages": ["git"]},
        "app_build_deploy_key: git uses it over SSH. Add openssh-client to app_packages.",
    ),
    (
        {"app_build_deploy_key": KEY},
        "app_build_deploy_key: app_build_known_hosts is empty, so no host is connected to.",
    ),
    ({"app_env": None}, "app_env: it is empty (null). Give it a value, or take the line out."),
    ({"app_env": {"DEBUG": None}}, "app_env: DEBUG is empty (null). Give it a value, or take the line out."),
    ({"app_env": {"HOSTS": ["a", "b"]}}, "app_env: HOSTS is a list, and has to be text."),
    ({"app_env": ["DEBUG=1"]}, "app_env: it is a list, and has to be a dictionary (lines of NAME: value)."),
    ({"app_env": "DEBUG=1"}, "app_env: it is not a dictionary (lines of NAME: value)."),
    ({"app_workers": None}, "app_workers: it is empty (null)."),
    (
        {"app_workers": "celery worker"},
        'app_workers: "celery worker" is not a list of entries, such as - {name: …, command: …}.',
    ),
    (
        {"app_timers": {"name": "sweep", "command": "true", "on_calendar": "daily"}},
        "app_timers: it is a dictionary, and has to be a list of entries, such as - {name: …, command: …, on_calendar: …}.",
    ),
    (
        {"app_prestart": "flask seed: x"},
        'app_prestart: "flask seed: x" is not a list. Write it as ["flask seed: x"].',
    ),
    ({"connection_limit_ports": 443}, 'connection_limit_ports: "443" is not a list. Write it as [443].'),
    (
        {"slipway_own_variables": None},
        "slipway_own_variables: it is empty (null). Give it a value, or take the line out.",
    ),
    ({"slipway_own_variables": "my_*"}, 'slipway_own_variables: "my_*" is not a list. Write it as ["my_*"].'),
    ({"app_domains": [None]}, "app_domains: entry 1 is empty (null)."),
    ({"app_domains": [{"www.site.test": None}]}, "app_domains: entry 1 is a dictionary, and has to be text."),
    (
        {"app_releases_kept": "5"},
        """app_releases_kept: "5" is text. Write the number without quotes; with -e as JSON: -e '{"app_releases_kept": 5}'.""",
    ),
    ({"gunicorn_workers": "1"}, """gunicorn_workers: "1" is text. Write the number without quotes"""),
    ({"app_releases_kept": "many"}, 'app_releases_kept: "many" is not a whole number.'),
    (
        {"app_static_dir": False},
        "app_static_dir: it is false, and has to be text. If you wrote no or off, put it into quotes.",
    ),
    ({"app_migrate": "perhaps"}, 'app_migrate: "perhaps" is not true or false.'),
    ({"edge_tls": "maybe"}, 'edge_tls: "maybe" is not one of acme, provided, selfsigned, off.'),
    (
        {"app_workers": [{"nam": "mail", "command": "x"}]},
        'app_workers: entry 1: "nam" is not known. Use command, count, name.',
    ),
    ({"app_workers": [{"name": "mail"}]}, "app_workers: entry 1: command is missing."),
    ({"app_health_path": "health z"}, 'app_health_path: "health z" is not a path of the site, such as /healthz'),
    (
        {"app_timers": [{"name": "a", "command": "b", "on_calendar": "daily\nUser=root"}]},
        'app_timers: entry 1: on_calendar: "daily\\nUser=root" is not a calendar expression',
    ),
    (
        {
            "app_timers": [
                {"name": "sweep", "command": "true", "on_calendar": "Mon..Fri 08:00"},
                {"name": "cleanup", "command": "true", "on_calendar": "every five minutes"},
                {"name": "tidy", "command": "true", "on_calendar": "-*:0/15"},
            ]
        },
        "app_timers: timer 'cleanup' has on_calendar 'every five minutes'; timer 'tidy' has on_calendar '-*:0/15', which systemd does not "
        "understand. Write it as systemd.time(7) has it, such as daily,",
    ),
    (
        {"nginx_client_max_body_size": "16m; return 301 http://evil/"},
        'nginx_client_max_body_size: "16m; return 301 http://evil/" is not a size: a number of bytes, or one with k, m or g',
    ),
    ({"nginx_gzip_types": ["text/css; #"]}, 'nginx_gzip_types: entry 1: "text/css; #" is not a type of content'),
    ({"nginx_worker_processes": "1; x"}, 'nginx_worker_processes: "1; x" is not a number, or auto.'),
    (
        {"edge_real_ip_header": "X-Real\n"},
        'edge_real_ip_header: "X-Real\\n" has a line break or another control character.',
    ),
    ({"edge_static_immutable_names": ["a\\"]}, "is not a regular expression that ends without a backslash."),
    (
        {"edge_response_headers": {"X-Own": "a\nb"}},
        'edge_response_headers: X-Own: "a\\nb" has a line break or another control character. Write it on one line.',
    ),
    ({"edge_response_headers": {"X\nY": "a"}}, 'edge_response_headers: "X\\nY" is not a name.'),
    (
        {"systemd_service": {"LimitNOFILE": "1024\nUser=root"}},
        'systemd_service: LimitNOFILE: "1024\\nUser=root" has a line break or another control character.',
    ),
    ({"systemd_service": {"LimitNOFILE=1\nUser": "root"}}, "is not the name of a directive of systemd"),
    ({"supervisor_tmp_size": "1m x $(id)"}, 'supervisor_tmp_size: "1m x $(id)" is not a size'),
    ({"supervisor_program": {"priority": "1\nuser=root"}}, "supervisor_program: priority: "),
    ({"gunicorn_settings": {"x = 1; y": 2}}, 'gunicorn_settings: "x = 1; y" is not the name of a setting of gunicorn'),
    ({"app_server": "uwsgi", "uwsgi_settings": {"log-slow": "1\u2028master = false"}}, "has a line break"),
    *(
        (
            {"app_server": "uwsgi", "uwsgi_settings": {name: 1}},
            "is not the name of an option as uWSGI writes it, such as log-slow.",
        )
        for name in ("log slow", "log-slow=1", "log_slow", "log-slow\n")
    ),
    ({"app_domains": []}, "app_domains: it is empty. List the host names that the site answers to."),
    (
        {"app_domains": ["site.test", "http://site.test", "https://site.test"]},
        'app_domains: "http://site.test" is a URL. List host names alone, without http://, https:// and a path; edge_tls says whether '
        'the site has HTTPS. "https://site.test" is a URL.',
    ),
    ({"app_domains": ["a..b"]}, 'app_domains: "a..b" has a dot too many.'),
    ({"app_domains": ["-x"]}, 'app_domains: "-x" is not a host name.'),
    ({"app_domains": ["*"]}, 'app_domains: "*" is not a pattern that Slipway supports. Write *.example.org'),
    ({"app_domains": ["my_site.test"]}, 'app_domains: "my_site.test" has an underscore, which no host name may have.'),
    ({"app_domains": ["bücher.test"]}, "Write it as browsers ask for it: xn--bcher-kva.test."),
    ({"app_domains": ["straße.test"]}, "Write it as your registrar shows it for DNS, beginning with xn--."),
    ({"app_domains": ["site.test:8080"]}, 'app_domains: "site.test:8080" has a port. Write site.test;'),
    ({"app_domains": ["::1"]}, 'app_domains: "::1" is an IPv6 address, which needs brackets. Write it as "[::1]".'),
    ({"app_domains": ["1.2.3"]}, 'app_domains: "1.2.3" is neither an IP address nor a host name.'),
    ({"app_disk_max": "lots"}, "app_disk_max: lots is not a size. Use a whole number and M, G or T"),
    (
        {"app_static_url": "/static"},
        "app_static_url: /static is not a folder of the site. Begin and end it with a slash",
    ),
    *(
        (
            {"app_url_prefix": prefix},
            f'app_url_prefix: "{prefix}" is not a path. Begin it with a slash and end it without',
        )
        for prefix in ("shop", "/shop/", "/", "/my shop", "/a/../b", "//shop", "/shop?x")
    ),
    ({"app_static_dir": ".."}, "app_static_dir: .. is not a folder below the source"),
    ({"app_shared_dirs": ["/var/lib/x"]}, "app_shared_dirs: /var/lib/x are not folders below the source"),
    (
        {"app_shared_dirs": [".", "a/..", ".git", ".venv/x", ".data", ".data/.cache", "-a", "a/"]},
        "app_shared_dirs: ., a/.., .git, .venv/x, -a, a/ are not folders",
    ),
    ({"app_shared_dirs": ["a", "a/b"]}, "app_shared_dirs: a/b is inside another of these folders. Take it out"),
    (
        {"app_workers": [{"name": "Mail!", "command": "true"}]},
        'app_workers: entry 1: name: "Mail!" is not the name of a program',
    ),
    (
        {
            "app_workers": [{"name": "mail", "command": "true"}],
            "app_timers": [{"name": "mail", "command": "x", "on_calendar": "daily"}],
        },
        "app_workers, app_timers: two programs are called mail. Give each its own name.",
    ),
    (
        {"app_workers": [{"name": "mail", "command": "true", "count": 0}]},
        "app_workers: the count 0 is not from 1 to 64",
    ),
    ({"app_static_kinds": []}, "app_static_kinds: it is empty, so no file would be published"),
    (
        {"app_before_build": ["/nowhere/hook.yml"]},
        "the file /nowhere/hook.yml does not exist on the control machine. Give the full path: "
        '"{{ inventory_dir }}/files/..."',
    ),
    (
        {"nginx_extra_server": ["redirects.conf"]},
        'Give the full path: "{{ inventory_dir }}/files/..."',
    ),
    ({"app_static_kinds": ["css", ".JS", ""]}, "app_static_kinds, app_static_forbidden_suffixes: .JS are not suffixes"),
    ({"app_deploy_serial": 0}, "app_deploy_serial: 0 hosts at a time are too few"),
    ({"valkey_memory_mb": 7}, "valkey_memory_mb: 7 is not from 8 to 1048576. Set how many MB"),
    ({"valkey_name": "a-b"}, 'valkey_name: "a-b" cannot name an instance. Use 1 to 28'),
    (
        {"mail_relay_host": "", "mail_relay_user": "me"},
        "mail_relay_host: it is empty, so nothing uses mail_relay_user.",
    ),
    ({"mail_relay_host": "smtp.test:587"}, 'mail_relay_host: "smtp.test:587" is not a host name. Write the name alone'),
    ({"mail_relay_host": "smtp.test", "mail_relay_sender": "me"}, 'mail_relay_sender: "me" is not an e-mail address'),
    (
        {"mail_relay_host": "smtp.test", "mail_relay_user": "me"},
        "mail_relay_password: it is empty, and mail_relay_user",
    ),
    (
        {"mail_relay_host": "smtp.test", "mail_relay_password": "x"},
        "mail_relay_user: it is empty, and mail_relay_passw",
    ),
    ({"mail_relay_tls": "ssl"}, "mail_relay_tls: "),
    ({"connection_limit_per_address": 0}, "connection_limit_per_address: 0 must be a number of connections from 1"),
    ({"connection_limit_ports": []}, "connection_limit_ports: [] must name at least one port"),
    ({"connection_limit_ports": [443, 65536]}, "connection_limit_ports: [443, 65536] must name"),
    (
        {"connection_limit_exempt": ["203.0.113.5", "office.example.org", "10.0.0.0/33", "fe80::1%eth0"]},
        "connection_limit_exempt: office.example.org, 10.0.0.0/33, fe80::1%eth0 is not an IP address or network",
    ),
    (
        {"certificates_source": "acme", "edge_server_names": ["book.example.org", "*.example.org"]},
        "app_domains: the CA cannot check *.example.org by asking this server",
    ),
    (
        {"certificates_source": "acme", "edge_server_names": ["book.example.org", "book.internal"]},
        "app_domains: no public CA gives a certificate for book.internal",
    ),
    (
        {"certificates_source": "acme", "certificates_acme_directory_url": "ca.example.org/dir"},
        'certificates_acme_directory_url: "ca.example.org/dir" must be the URL',
    ),
    ({"certificates_acme_ca_bundle": "/nowhere.pem"}, "certificates_acme_ca_bundle: the file /nowhere.pem does not"),
    (
        {"certificates_source": "selfsigned", "certificates_acme_renew": "true"},
        "has no certificate of an ACME server (edge_tls: selfsigned). Leave the host out with --limit, or take certificates_acme_renew",
    ),
    (
        {"certificates_source": "acme", "certificates_names_elsewhere": ["www.example.org"]},
        "app_domains: www.example.org is a name of several hosts",
    ),
    ({"certificates_acme_email": "nobody"}, 'certificates_acme_email: "nobody" is not an address'),
    (
        {"certificates_source": "provided", "certificates_provided_certificate": "x", "certificates_provided_key": "x"},
        "certificates_provided_certificate: it is not a certificate in PEM",
    ),
    (
        {
            "certificates_source": "provided",
            "certificates_provided_certificate": "/etc/ssl/site.pem",
            "certificates_provided_key": "/etc/ssl/site.pem",
        },
        "certificates_provided_certificate: it is a path, /etc/ssl/site.pem, and not what the file has. Give that, as PEM: "
        "lookup('ansible.builtin.file', '/etc/ssl/site.pem').",
    ),
    ({"nginx_listen": ["80", "203.0.113.5:443"]}, "nginx_listen: it is for HTTP, and 443 is the port of HTTPS"),
    ({"nginx_listen": []}, 'nginx_listen: it is empty. Name at least one port for HTTP, such as "80".'),
    ({"nginx_listen": ["80", "8080 default_server"]}, "nginx_listen: 8080 default_server is neither a port (80) nor"),
    (
        {"nginx_listen": ["80", "443 ssl http2"]},
        "nginx_listen: it is for HTTP, and 443 is the port of HTTPS. Take 443 out; HTTPS is edge_tls",
    ),
    (
        {"edge": "apache", "apache_listen": ["80", "443 https"]},
        "apache_listen: it is for HTTP, and 443 is the port of HTTPS",
    ),
    ({"nginx_tls_listen": ["80"]}, "nginx_tls_listen: 80 is in nginx_listen too"),
    ({"nginx_tls_listen": [], "edge_tls": "selfsigned"}, "nginx_tls_listen: it is empty"),
    ({"edge_canonical_host": "www.site.test"}, 'edge_canonical_host: "www.site.test" must be one of the site'),
    (
        {"edge_server_names": ["*.site.test"], "edge_canonical_host": "*.site.test"},
        'edge_canonical_host: "*.site.test" must be one of the site',
    ),
    (
        {"edge_redirect_to": "https://SITE.test:8443/x"},
        'edge_redirect_to: "https://SITE.test:8443/x" leads back to this site, whose names (app_domains) have site.test',
    ),
    ({"edge_redirect_to": "new.test"}, 'edge_redirect_to: "new.test" is not a URL that a path can follow'),
    (
        {"edge_redirect_to": "https://new.test", "edge_canonical_host": "site.test"},
        "edge_canonical_host, edge_paths: a site that redirects every request to https://new.test (edge_redirect_to) has no",
    ),
    (
        {"edge_redirect_to": "https://new.test", "edge_paths": [{"path": "/", "allow": ["203.0.113.0/24"]}]},
        "edge_canonical_host, edge_paths: a site that redirects every request",
    ),
    (
        {"edge_redirect_to": "https://new.test", "nginx_extra_server": [str(ROOT / "galaxy.yml")]},
        "nginx_extra_server: a site that redirects every request",
    ),
    (
        {"edge_upstream_socket": "app.sock"},
        'edge_upstream_socket: "app.sock" must be the absolute path of a unix socket',
    ),
    (
        {"edge_upstream_socket": ""},
        "edge_upstream_socket: it is empty, and so are edge_static_roots and edge_redirect_to",
    ),
    (
        {**PAGES, "edge_paths": [{"path": "/a", "cache": {"valid_seconds": 1}}, {"path": "/b", "buffering": False}]},
        "edge_paths: /a (cache), /b (buffering) are about what is passed to an application, and this site has none.",
    ),
    *(
        (
            {**PAGES, "edge_paths": [{"path": path, "allow": ["203.0.113.0/24"]}]},
            f"edge_paths: {path.rstrip('/')} would leave another address of the same page open. Where a site is its files alone, "
            "write a page without .html, as /about is /about.html too, and in the place of an index its folder",
        )
        for path in ("/about.html", "/blog/index.html", "/blog/index", "/Index.HTML", "/INDEX/")
    ),
    (
        {**PAGES, "edge_maintenance_open_paths": ["/healthz"]},
        "edge_maintenance_open_paths: /healthz would be passed to the application in maintenance, and this site has none.",
    ),
    (
        {"edge_mounted_below": "Shop", "edge_url_prefix": "/shop"},
        'app_mounted_below: "Shop" cannot name another application, or is this one. Set it to the app_name of the',
    ),
    (
        {"edge_mounted_below": "guestbook", "edge_url_prefix": "/shop"},
        'app_mounted_below: "guestbook" cannot name another application, or is this one.',
    ),
    (
        {"edge_mounted_below": "other"},
        "app_url_prefix: it is empty, and a site below the domain of other (app_mounted_below) needs",
    ),
    (
        {**PAGES, "edge_mounted_below": "other", "edge_url_prefix": "/shop"},
        "app_mounted_below: only an application can be below the domain of other, and this site has none",
    ),
    (
        {
            "edge_mounted_below": "other",
            "edge_url_prefix": "/shop",
            "edge_paths": [{"path": "/shop/a", "allow": ["::1"]}, {"path": "/shop/b", "requests_per_minute": 9}],
        },
        "are about who gets in, which is for other to say, whose domain it is (app_mounted_below). Move them to edge_paths of its",
    ),
    (
        {
            "edge_mounted_below": "other",
            "edge_url_prefix": "/shop",
            "edge_paths": [{"path": "/shopping", "body_limit": "1g"}],
        },
        "edge_paths, edge_maintenance_open_paths: /shopping are not below /shop (app_url_prefix), where this site is. Write",
    ),
    (
        {
            "edge": "apache",
            "edge_mounted_below": "other",
            "edge_url_prefix": "/shop",
            "apache_extra_virtual_host": [__file__],
        },
        "apache_extra_virtual_host: a site below the domain of other (app_mounted_below) has no virtual host for directives of your own.",
    ),
    ({"edge_http3": True, "edge_tls": "off"}, "edge_http3: HTTP/3 needs HTTPS, and edge_tls is off"),
    *(
        (
            {"edge": "apache", "edge_paths": [{"path": "/login", **option}]},
            f"edge_paths: Apache cannot do what /login ({', '.join(option)}) needs: it does not count the requests of a client, and its "
            "cache does not know a new release from the old one. Take it out, or set edge to nginx.",
        )
        for option in ({"requests_per_minute": 20}, {"connections": 4}, {"cache": {"valid_seconds": 10}})
    ),
    (
        {"edge": "apache", "edge_http3": True, "edge_tls": "selfsigned"},
        "edge_http3: Apache has no HTTP/3. Take edge_http3 out, or set edge to nginx.",
    ),
    (
        {"debian": "12", "edge_http3": True, "edge_tls": "selfsigned"},
        "edge_http3: nginx has HTTP/3 since 1.25, and Debian 12 has 1.22. Take edge_http3 out for",
    ),
    (
        {"edge_unset_request_headers": ["Proxy", "x-forwarded-for"]},
        "edge_unset_request_headers: x-forwarded-for tells the application of its visitor, and is the edge's own",
    ),
    ({"edge_response_headers": {"X Own": "1"}}, "edge_response_headers: X Own cannot name a header"),
    ({"edge_response_headers": {"X-Own": 'a "word"'}}, "edge_response_headers: a value cannot have a double quote"),
    (
        {"edge_paths": [{"path": "admin"}, {"path": "/x", "timeout_seconds": 0}]},
        'edge_paths: "admin" is not a path: it begins with a slash, without a query and %, such as /admin; /x: timeout_seconds is 0, '
        "and has to be above zero.",
    ),
    ({"edge_trusted_proxies": ["0.0.0.0/0"]}, "edge_trusted_proxies: 0.0.0.0/0 must be IP addresses and networks"),
    ({"edge_trusted_proxies": ["cdn.test"]}, "edge_trusted_proxies: cdn.test must be IP addresses and networks"),
    ({"edge_real_ip_header": "X Real"}, 'edge_real_ip_header: "X Real" cannot name a header'),
    ({"connection_limit_name": "one two"}, 'connection_limit_name: "one two" cannot name a table'),
    (
        {"app_default_requirements": "none.txt"},
        "app_default_requirements: the file none.txt does not exist on the control",
    ),
    (
        {"app_uv_version": "0.13.0"},
        "app_uv_hashes: uv.txt has no hashes of uv 0.13.0 (app_uv_version). Make a file that",
    ),
    (
        {"app_node_version": "1.2.3"},
        "app_node_hashes: node.txt has no hashes of Node 1.2.3 (app_node_version). Make a file that",
    ),
    ({"app_uv_hashes": "/nowhere/uv.txt"}, "app_uv_hashes: /nowhere/uv.txt has no hashes of uv"),
    ({"supervisor_program": {"user": "root"}}, "supervisor_program: user cannot be set here"),
    ({"gunicorn_version": "26.0.0"}, "gunicorn_hashes: hashes.txt has no hashes of gunicorn 26.0.0 (gunicorn_version)"),
    ({"gunicorn_version": "27.0"}, "gunicorn_hashes: hashes.txt has no hashes of gunicorn 27.0 "),
    (
        {"gunicorn_version": "26.0.0", "gunicorn_hashes": "{{ unhashed }}"},
        "gunicorn.txt has no hashes of gunicorn 26.0.0",
    ),
    (
        {"app_server": "uwsgi", "uwsgi_version": "2.0.29"},
        "uwsgi_hashes: hashes.txt has no hashes of pyuwsgi 2.0.29 (uwsgi_",
    ),
    (
        {"app_server": "granian", "granian_version": "2.8.6"},
        "granian_hashes: hashes.txt has no hashes of granian 2.8.6 ",
    ),
]
# And what can work.
GOOD_CASES: list[dict[str, Any]] = [
    {},
    {
        "app_domains": [
            "site.test",
            "*.site.test",
            ".other.test",
            "203.0.113.5",
            "[2001:db8::5]",
            "localhost",
            "xn--bcher-kva.test",
        ]
    },
    {"app_env": {"PEM": "a\nb\n", "DEBUG": True, "WORKERS": 3}, "app_prestart": ["true\ntrue"]},
    {
        "edge_paths": [{"path": "/x", "allow": None, "timeout_seconds": 5}],
        "nginx_worker_processes": 4,
    },
    {
        "app_timers": [{"name": "sweep", "command": "true", "on_calendar": "*-*-* *:0/15:30"}],
        "app_process_manager": "systemd",
    },
    {"app_health_path": "/healthz?deep=1", "gunicorn_settings": {"logconfig_dict": {"version": 1}, "proc_name": None}},
    {"app_static_url": "/", "app_url_prefix": "/a/b-c.d"},
    {
        "edge_mounted_below": "other",
        "edge_url_prefix": "/shop",
        "edge_paths": [{"path": "/", "timeout_seconds": 9}, {"path": "/Shop/x", "body_limit": "1g"}],
    },
    {"app_server": "uwsgi"},
    {"app_server": "granian"},
    {"certificates_source": "acme", "edge_server_names": ["book.example.org", "203.0.113.5"]}
    | {"certificates_acme_directory_url": "https://ca.example.org/dir"},
    {"edge_tls": False, "nginx_tls_listen": []},  # off, as YAML reads it without quotes
    {"edge_http3": True, "edge_tls": "selfsigned"},
    {"edge": "apache", "edge_paths": [{"path": "/", "allow": ["203.0.113.0/24"], "requests_per_minute": 0}]},
    {"edge_canonical_host": "site.test"},
    {"edge_redirect_to": "https://new.test/shop", "edge_upstream_socket": ""},
    {**PAGES, "edge_paths": [{"path": path, "allow": ["::1"]} for path in ("/", "/blog", "/indexes", "/index/about")]},
    {"edge_paths": [{"path": "/blog/index.html", "allow": ["::1"]}], "edge_maintenance_open_paths": ["/healthz"]},
    {"edge_response_headers": {"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'"}},
    {"edge_paths": [{"path": "/", "allow": ["203.0.113.0/24"]}, {"path": "/news", "cache": {"valid_seconds": 1}}]},
    {"edge_trusted_proxies": ["203.0.113.5/24", "2001:db8::1"], "edge_real_ip_header": "CF-Connecting-IP"},
    {"gunicorn_version": "26.0.0", "gunicorn_hashes": ""},
    {"gunicorn_version": "26.0.0", "gunicorn_hashes": "{{ hashed }}"},
    {"app_uv_version": "0.13.0", "app_uv_hashes": "", "app_default_requirements": ""},
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what is said of each case, by its number."""
    folder = tmp_path_factory.mktemp("preflight")
    hosts = {str(number): {**GOOD, **variables} for number, (variables, _) in enumerate(CASES)}
    hosts |= {f"good-{number}": {**GOOD, **variables} for number, variables in enumerate(GOOD_CASES)}
    (folder / "unhashed-gunicorn.txt").write_text("gunicorn==26.0.0\n")
    (folder / "gunicorn.txt").write_text(f"gunicorn==26.0.0 \\\n    --hash=sha256:{64 * '0'}\n")
    others = ["app", "connection_limit", "certificates", "supervisor", "systemd", "valkey", "mail_relay"]
    asked = [*others, "{{ edge }}", "{{ app_server }}"]
    here = {
        "asked": asked,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "app_domains": ["site.test"],
        "connection_limit_name": "guestbook",
        "connection_limit_ports": [80],
        "valkey_name": "guestbook",
        "valkey_group": "guestbook",
        "mail_relay_name": "guestbook",
        "mail_relay_address": "127.65.0.1",
        "mail_relay_host": "smtp.test",
        "mail_relay_sender": "noreply@site.test",
        "certificates_name": "guestbook",
        "certificates_names": "{{ edge_server_names }}",
        "certificates_source": "off",
        "certificates_edge": {"service": "nginx", "test": ["true"]},
        "edge": "nginx",
        "_edge": "{{ edge }}",
        "_edges": [{"role": "nginx"}, {"role": "apache"}],
        "edge_site_name": "guestbook",
        "edge_server_names": "{{ app_domains }}",
        "edge_tls_certificate": "/etc/ssl/site.pem",
        "edge_tls_key": "/etc/ssl/site.pem",
        "edge_tls_nameless": "/etc/ssl/site.pem",
        "edge_upstream_socket": "/run/guestbook/app.sock",
        "app_server": "gunicorn",
        "hashed": f"{folder}/gunicorn.txt",
        "unhashed": f"{folder}/unhashed-gunicorn.txt",
        # In the place of facts.
        "debian": "13",
        **dict.fromkeys(["gunicorn_workers", "granian_workers", "granian_blocking_threads"], 2),
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": here}}))
    roles = [*asked, "edge", "apache", "nginx"]
    tasks = [
        {"ansible.builtin.import_tasks": str(ROOT / "playbooks/roles/wiring/tasks/first_checks.yml")},
        {"slipway.flask.validate_variables": {"roles": roles, "path": str(ROOT / "roles"), "others": ["edge"]}},
        {
            "ansible.builtin.fail": {"msg": "{{ query('slipway.flask.complaints', *asked) | join('\n') }}"},
            "when": "query('slipway.flask.complaints', *asked) != []",
        },
        {"ansible.builtin.import_role": {"name": "slipway.flask.app", "tasks_from": "preflight"}},
    ]
    # As a host's variable, it would give way to the facts that were not gathered.
    facts = {"ansible_facts": {"distribution_major_version": "{{ debian }}"}}
    play = {"hosts": "all", "gather_facts": False, "vars": facts, "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]))
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={folder}/hosts.json",
        f"{folder}/play.json",
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    said = dict.fromkeys(hosts, "")
    for task in json.loads(done.stdout)["plays"][0]["tasks"]:
        said.update({host: result["msg"] for host, result in task["hosts"].items() if result.get("failed")})
    return said


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{'-'.join(CASES[number][0])}-{number}")
def test_a_variable_that_cannot_work_is_named(answers: dict[str, str], number: int) -> None:
    assert CASES[number][1] in answers[str(number)]
    assert not re.search(r"Traceback|_Ansible|Lazy", answers[str(number)])


@pytest.mark.parametrize("number", range(len(GOOD_CASES)))
def test_a_variable_that_can_work_is_not_refused(answers: dict[str, str], number: int) -> None:
    assert answers[f"good-{number}"] == ""
