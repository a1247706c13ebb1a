#!/bin/sh
# The commands that look: what they say of a machine at work, as text and as JSON; looking costs no exit.
# run: --timeout 240
. /usr/lib/scenario.sh

# hypercalls: how many root has made so far.
hypercalls() {
    bulkhead cell stats root --json | awk '/"hvc":/ { gsub(",", ""); sum += $2 } END { print sum }'
}

# json COMMAND...: it prints an object or a list.
json() {
    "$@" --json > /tmp/json || fail "$*: exit code $?"
    grep -q '^[[{]' /tmp/json || fail "$* --json: $(cat /tmp/json)"
}

echo "looking costs no exit"
says "Bulkhead is enabled.*free for cells" bulkhead
says "There are no cells" bulkhead
before=$(hypercalls)
for _ in 1 2 3; do
    bulkhead > /dev/null
    for what in "cell list" "cell show root" "cell stats" map log status "top --once --interval 0.2"; do
        # shellcheck disable=SC2086
        bulkhead $what > /dev/null
    done
done
is "root's hypercalls after that" "$(hypercalls)" "$before"

run_rtos
echo "who has what"
says "Cell 'rtos' is running" bulkhead
bulkhead map > /tmp/map
cat /tmp/map
grep -qE '^ *cpu@3 +0x3 +rtos$' /tmp/map || fail "the CPU"
grep -qE '^ *0x[0-9a-f]+-0x[0-9a-f]+ +[0-9]+ [KM]iB +hypervisor$' /tmp/map || fail "the hypervisor"
grep -qE '^ */pl011@9040000 +0x09040000-0x09040fff +40 +rtos$' /tmp/map || fail "the UART"
grep -qE '^ */pl011@9000000 +0x09000000-0x09000fff +33 +root$' /tmp/map || fail "Linux's UART"
says "drawn: /tmp/map.svg" bulkhead map --svg /tmp/map.svg
grep -q '^<svg ' /tmp/map.svg || fail "no picture"
says "rtos +running +1 +16 MiB" bulkhead top --once --interval 0.2
says "cell rtos started" bulkhead log
for command in "" map "top --interval 0.2" "cell list" "cell show rtos" "cell stats" status doctor log; do
    # shellcheck disable=SC2086
    json bulkhead $command
done
bulkhead map | head -n 1

echo "this machine"
bulkhead doctor
says "NOT isolated" bulkhead doctor
says "ok +module +loaded, of this command's version; Bulkhead is enabled" bulkhead doctor

echo "files"
says "SPI 8 \(INTID 40\), level high +devices: \"serial1\" is /pl011@9040000" bulkhead config explain $cells/rtos.dts
bulkhead config dtb $cells/rtos.dts > /tmp/rtos.dtb
dtc -I dtb -O dts /tmp/rtos.dtb | grep -q 'model = "rtos"' || fail "no tree"
says "/tmp/new.dts is written, and good for" bulkhead config new --name new --devices /pl031@9010000 -o /tmp/new.dts
refused 1 "/tmp/new.dts exists already" bulkhead config new --name other -o /tmp/new.dts
refused 3 "no alias 'serial9'" bulkhead config explain "$(sed 's/serial1/serial9/' $cells/rtos.dts > /tmp/w.dts; echo /tmp/w.dts)"
create /tmp/new.dts
says "Cell 'new' is created" bulkhead
says "bulkhead cell load new IMAGE" bulkhead
bulkhead cell destroy new

echo "restart"
bulkhead cell stop rtos
says "Cell 'rtos' is stopped" bulkhead
bulkhead cell restart rtos
rtos_reports
bulkhead cell restart rtos
rtos_reports
bulkhead cell destroy rtos
