# Runs certmonger in a D-Bus session of its own: enrols, renews with the same key and with a new one, and asks again with
# a challenge that was used. What it gets is kept as 1.crt to 3.crt with the keys; its state of the last one as refused.txt.
# Arguments: URL of SCEP, file of the RA's certificate, file of the authority's, challenge.
set -euo pipefail
export HOME=$PWD
/usr/lib/certmonger/certmonger-session -n -d 1 >certmonger.log 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT

# get COMMAND...: getcert.
get() {
  getcert "$1" -s "${@:2}"
}
# Not by getcert: while no daemon has the name, the bus would start a second one for it.
for _ in $(seq 100); do
  dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
    string:org.fedorahosted.certmonger 2>/dev/null | grep -q true && break
  sleep 0.1
done
get add-scep-ca -c gatepost -u "$1" -r "$2" -N "$3"

# settled ID STATE: waits for the state.
settled() {
  local state=
  for _ in $(seq 200); do
    state=$(get list -i "$1" | sed -n 's/^\tstatus: //p')
    [[ $state = "$2" ]] && return 0
    sleep 0.1
  done
  echo "certmonger: $1 is $state, not $2" >&2
  get list -i "$1" >&2
  return 1
}

# renewed N: waits until the certificate is another one than N.crt.
renewed() {
  for _ in $(seq 200); do
    cmp -s device.crt "$1.crt" || break
    sleep 0.1
  done
  settled device MONITORING
}

get request -c gatepost -I device -k "$PWD/device.key" -f "$PWD/device.crt" -N "CN=any name,serialNumber=C02TEST1" -L "$4"
settled device MONITORING
cp device.crt 1.crt && cp device.key 1.key
get resubmit -i device
renewed 1
cp device.crt 2.crt && cp device.key 2.key
get rekey -i device
renewed 2
cp device.crt 3.crt && cp device.key 3.key

get request -c gatepost -I again -k "$PWD/again.key" -f "$PWD/again.crt" -N "CN=any name,serialNumber=C02TEST1" -L "$4"
settled again CA_REJECTED
get list -i again >refused.txt
