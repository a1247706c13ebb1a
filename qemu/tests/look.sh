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

echo "top on a terminal that does not know its size, as a serial line; at another size; each end gives the terminal back"
ifconfig lo up
cat > /tmp/attach <<'EOF'
#!/bin/sh
readlink /proc/self/fd/0 > /tmp/tty
if [ -s /tmp/size ]; then stty $(cat /tmp/size); fi
before=$(stty -g)
bulkhead top --interval 0.2
echo "end: $? $([ "$before" = "$(stty -g)" ] && echo as it was)"
sleep 1
EOF
chmod +x /tmp/attach
telnetd -l /tmp/attach -p 2323 -b 127.0.0.1
escape=$(printf '\033')

# terminal SIZE: `top` on one of this size ("" for none); what it gets is in /tmp/screen, descriptor 9 types.
terminal() {
    printf '%s' "$1" > /tmp/size
    rm -f /tmp/line /tmp/tty
    mkfifo /tmp/line
    nc 127.0.0.1 2323 < /tmp/line >> /tmp/screen 2>&1 &
    exec 9> /tmp/line
}

# cell_is_drawn: and root, and its CPU, on a screen of their own.
cell_is_drawn() {
    wait_for 20 drawn "rtos +running +1 +16 MiB"
    drawn "root +running +3 +- " || fail "no root cell"
    drawn "3 +0x3 +rtos +[0-9]+ " || fail "no CPU"
    grep -aqF "${escape}[?1049h" /tmp/screen || fail "not on a screen of its own"
}

# drawn REGEX: it is on the terminal.
drawn() {
    sed "s/${escape}[[][0-9;?]*[A-Za-z]/ /g" /tmp/screen | grep -aqE -- "$1"
}

# ended: it has, and the terminal has its own screen, its cursor and its settings again.
ended() {
    wait_for 10 grep -aq "end: 0 as it was" /tmp/screen
    exec 9>&-
    sed 's/end: 0.*//' /tmp/screen | grep -aqF "${escape}[?1049l" || fail "the screen is not given back"
    sed 's/end: 0.*//' /tmp/screen | grep -aqF "${escape}[?25h" || fail "the cursor is not given back"
    : > /tmp/screen
}

# corner: the last row and the last column to which the cursor was sent.
corner() {
    sed "s/${escape}[[]\([0-9]*\);\([0-9]*\)H/\n@\1 \2\n/g" /tmp/screen |
        awk '/^@/ { at = substr($1, 2) + 0; if (at > row) row = at; if ($2 + 0 > column) column = $2 + 0 } END { print row, column }'
}

: > /tmp/screen
terminal ""
cell_is_drawn
drawn "no room for columns: [0-9]+" || fail "all columns on 80"
is "the last row of a terminal of no size" "$(corner | cut -d ' ' -f 1)" 24
: > /tmp/screen
printf '\014' >&9
wait_for 10 drawn "rtos +running +1 +16 MiB"
printf q >&9
ended
terminal "cols 150 rows 40"
cell_is_drawn
if drawn "no room"; then fail "columns are missing"; fi
: > /tmp/screen
stty -F "$(cat /tmp/tty)" cols 60 rows 16
wait_for 10 drawn "rtos +running +1 +16 MiB"
is "the last row of the smaller one" "$(corner | cut -d ' ' -f 1)" 16
[ "$(corner | cut -d ' ' -f 2)" -le 60 ] || fail "beyond the last column: $(corner)"
printf '\003' >&9
ended
terminal "cols 20 rows 5"
wait_for 20 drawn "too small"
kill -TERM "$(pidof bulkhead)"
ended

echo "this machine"
bulkhead doctor
says "NOT isolated" bulkhead doctor
says "ok +module +loaded, of this command's version; Bulkhead is enabled" bulkhead doctor

echo "files"
says "SPI 8 \(INTID 40\), level high +devices: \"serial1\" is /pl011@9040000" bulkhead config explain $cells/rtos.dts
bulkhead config dtb $cells/rtos.dts > /tmp/rtos.dtb
dtc -I dtb -O dts /tmp/rtos.dtb | grep -q 'model = "rtos"' || fail "no tree"
says "/tmp/new.dts is written, and good for" bulkhead config new --name new --devices /pl031@9010000 -o /tmp/new.dts
says "/tmp/part.dts is written, and good for" bulkhead config new --name part --devices /virtio_mmio@a003000 -o /tmp/part.dts
says "costs exits" bulkhead config check /tmp/part.dts
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
