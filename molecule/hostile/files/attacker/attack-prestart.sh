# What an application does before it starts. What it found out is in shared/prestart.
exec > /srv/$APP_NAME/shared/prestart 2>&1
grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status
for folder in /etc /run /srv/$APP_NAME /srv/$APP_NAME/releases/$APP_RELEASE/code /var/lib /opt; do
  touch "$folder/written" 2>/dev/null && echo "wrote: $folder"
done
setsid sleep 7373 < /dev/null > /dev/null 2>&1 &
# A test that wants to look while this runs says so.
shared=/srv/$APP_NAME/shared
echo > "$shared/alive"
while [ -e "$shared/wait" ]; do sleep 0.1; done
