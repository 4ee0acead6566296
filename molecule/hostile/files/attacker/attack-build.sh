# What a dependency does when it is built. What it found out is in report.txt, for the application to read.
exec > report.txt 2>&1
build=${UV_CACHE_DIR%/cache}
home=${build%/build}
echo "user: $(id -un)"
env
for path in "$home/secret_key" "$home/shared" "$home/next" "$home/current/env" /srv/victim /etc/shadow /root /home \
  /run/dbus /run/systemd /run/postgresql /var/lib/postgresql/*/main; do
  [ -n "$(find "$path" -mindepth 1 -readable 2>/dev/null | head -n 1)$(cat "$path" 2>/dev/null)" ] && echo "reached: $path"
done
[ "$(ls "$home/releases")" = "$(basename "$(dirname "$PWD")")" ] || echo "reached: other releases"
for folder in "$home" "$home/shared" "$home/releases" /etc /run /run/lock /opt /var/lib; do
  touch "$folder/written" 2>/dev/null && echo "wrote: $folder"
done
# Files that leak where they are published, and links to others.
for name in settings.py data.sqlite3-wal cert.p12 backup.tar.gz id_rsa '#main.py#' main.py.txt .env; do
  echo secret > "static/$name"
done
ln -sf ../main.py static/linked.txt
ln -sf /etc/passwd static/passwd.txt
ln -sf nowhere.css static/dangling.css
# A process that outlives the build, and swaps what is about to be published for links.
setsid sh -c '
  while :; do
    ln -sf /etc/shadow static/swapped.css
    date +%s.%N > '"$build"'/alive
    sleep 0.1
  done' < /dev/null > /dev/null 2>&1 &
# A test that wants to look while this runs says so.
while [ -e "$build/wait" ]; do sleep 0.1; done
