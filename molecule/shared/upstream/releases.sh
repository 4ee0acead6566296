#!/bin/sh
# Two releases of the site "one", and three of "pages", which has no application: what a browser may have, and what it must not get even though it is there.
set -eu
for release in 1 2; do
  mkdir -p "/srv/one/releases/$release/public/static/fonts"
  cd "/srv/one/releases/$release/public/static"
  echo "/* release $release */" > both.css
  seq 2000 > "only-$release.css"
  for name in app.js app.mjs page.json drawing.svg fonts/text.ttf picture.png; do seq 2000 > "$name"; done
  echo tiny > tiny.css
  for name in app.3f9a1c2b.js index-B2x9_kQz.js report-20241105.json jquery-ui.min.js; do echo "$name" > "$name"; done
  echo '<h1>one page</h1>' > index.html
  # The twin differs from what nginx would make of the file itself, which shows who is sent what.
  seq 2000 > twin.css
  echo '/* compressed ahead of time */' | gzip -9 > twin.css.gz
  echo 'The edge sends it as it is.' > twin.css.br
  touch -r twin.css twin.css.gz twin.css.br
  mkdir -p .git folder.py
  for name in .env .git/config settings.py settings.pyc SETTINGS.PY app.ini app.env data.sqlite data.db dump.sql dump.sql.gz \
    page.html.bak .page.html.swp page.html.swp page.html~ folder.py/.secret server.key \
    data.sqlite3-wal cert.p12 backup.tar.gz id_rsa '#settings.py#' settings.py.txt '#page.html' '~page.html' .page.css; do
    echo secret > "$name"
  done
  echo tiny > folder.py/3f2a9c.Bundle.CSS
  echo secret > ../.env
done
ln -sfn releases/1 /srv/one/previous
ln -sfn releases/2 /srv/one/current

for release in 0 1 2; do
  mkdir -p "/srv/pages/releases/$release/public"
  cd "/srv/pages/releases/$release/public"
  mkdir -p blog/empty private evil.test .well-known .git
  for page in index about blog/index private/index private/more evil.test/index; do echo "$page of release $release" > "$page.html"; done
  echo 'Nothing is here.' > 404.html
  for name in style.css "only-$release.css" app.3f9a1c2b.js .well-known/security.txt .well-known/association \
    .git/config LICENSE leaked.zip "only-$release.zip" main.py main.py.txt main.py.html; do echo "$name" > "$name"; done
  seq 2000 > large.html
  echo 'The edge sends it as it is.' > large.html.br
  echo 'This one too.' | gzip -9 > large.html.gz
  touch -r large.html large.html.br large.html.gz
  for name in report.html data.json "old-$release.html"; do
    seq 2000 > "$name"
    gzip --keep "$name"
    echo 'The edge sends it as it is.' > "$name.br"
    touch -r "$name" "$name.gz" "$name.br"
  done
done
ln -sfn releases/0 /srv/pages/oldest
ln -sfn releases/1 /srv/pages/previous
ln -sfn releases/2 /srv/pages/current
