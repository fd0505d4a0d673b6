#!/bin/sh
# Makes mosquitto and Telegraf in the folder $1. Telegraf comes from the Go module proxy, with the four plugins that
# the bridge needs (its own way of a custom build). mosquitto is this machine's, or the Debian package, unpacked
# without being installed.
set -eu
out=$1
PATH=$PATH:/usr/sbin

telegraf=github.com/influxdata/telegraf@v1.37.2
module=$(go mod download -json "$telegraf" | sed -n 's/^\t*"Dir": "\(.*\)",*$/\1/p')
plugins=inputs.mqtt_consumer,parsers.value,serializers.template,outputs.kafka
(cd "$module" && go build -buildvcs=false -tags "custom,$plugins" -o "$out/telegraf" ./cmd/telegraf)

if installed=$(command -v mosquitto); then
  printf '#!/bin/sh\nexec %s "$@"\n' "$installed" > "$out/mosquitto.sh"
else
  packages=$(apt-get install --simulate --no-install-recommends mosquitto | sed -n 's/^Inst \([^ ]*\).*/\1/p')
  cd "$out"
  apt-get download $packages
  for package in *.deb; do dpkg-deb --extract "$package" mosquitto; done
  rm -- *.deb
  # The folder gets its final name only after this script.
  cat > mosquitto.sh <<'END'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$(echo "$here"/mosquitto/usr/lib/*-linux-gnu) exec "$here/mosquitto/usr/sbin/mosquitto" "$@"
END
fi
chmod +x "$out/mosquitto.sh"
