#!/bin/sh
# A cell without a UART prints into memory that it shares with root: what it printed before, what it prints, what is typed
# for it; no exit a character; nothing that a hostile cell writes there stops the command line.
# run: --timeout 240
. /usr/lib/scenario.sh

# ring FILE SOURCE: the same cell, without its UART.
ring() {
    sed 's/console = .*/console = "ring";/; s/devices = "serial1".*//' "$2" > "$1"
}

# shows SECONDS REGEX INPUT ARGUMENTS: `bulkhead console ARGUMENTS < INPUT` shows it in time.
shows() {
    local seconds="$1" wanted="$2" input="$3" pid tries
    shift 3
    # What the last one left would be taken for this one's.
    rm -f /tmp/shown /tmp/said
    bulkhead console "$@" < "$input" > /tmp/shown 2> /tmp/said &
    pid=$!
    tries=$((seconds * 10))
    until grep -qsE -- "$wanted" /tmp/shown /tmp/said; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "console $*: no '$wanted' in time: $(tail -n 5 /tmp/shown /tmp/said)"
        usleep 100000
    done
    kill -INT $pid
    wait $pid || fail "console $*: exit code $? after Ctrl-C"
}

exits() {
    bulkhead cell stats "$1" --json | sed -n "s/.*\"total\": \([0-9]*\).*/\1/p" | awk '{ sum += $1 } END { print sum }'
}

run_cell() {
    create "$1"
    bulkhead cell load "$2" $inmates/"$3".elf > /dev/null
    bulkhead cell start "$2" > /dev/null
}

echo "what a cell printed before, and what it prints"
ring /tmp/hello.dts $cells/hello.dts
says 'console: ring at 0x40200000; bulkhead console hello' bulkhead config check /tmp/hello.dts
says 'console +0x40200000-0x40201fff +console = "ring"' bulkhead config explain /tmp/hello.dts
refused 1 "no cell named 'hello'; there are no cells" bulkhead console hello
run_cell /tmp/hello.dts hello hello
wait_for 10 sh -c "bulkhead console hello --once | grep -q 'hello from a cell: tree at 0x401f0000'"
says '"text": "hello from a cell: tree at 0x401f0000' bulkhead console hello --json
shows 5 "hello from a cell" /dev/null hello --no-input
ring /tmp/rtos.dts $cells/rtos.dts
run_cell /tmp/rtos.dts rtos rtos
shows 20 "^rtos: [0-9]+ s: .* fp sum .* right" /dev/null rtos --no-input
shows 10 "^rtos: 3 tasks" /dev/null rtos

echo "what is typed"
echo "well, cell" > /tmp/typed
shows 20 "^rtos: told 'well, cell'" /tmp/typed rtos
# More than the ring holds, so that root waits for the cell.
{ yes 0123456789 | head -n 200; echo last; } > /tmp/typed
shows 40 "^rtos: told 'last'" /tmp/typed rtos
is "lines told" "$(grep -c "^rtos: told '0123456789'" /tmp/shown)" 200

echo "two at once: both show, one types"
mkfifo /tmp/keys
bulkhead console rtos < /tmp/keys > /tmp/first 2>&1 &
first=$!
exec 8> /tmp/keys
usleep 500000
shows 20 "another console of cell 'rtos' has the keyboard" /tmp/typed rtos
echo "by the first" >&8
wait_for 20 grep -q "^rtos: told 'by the first'" /tmp/first
exec 8>&-

echo "a terminal: Ctrl-C is the cell's, Ctrl-] ends it"
ifconfig lo up
printf '#!/bin/sh\nexec bulkhead console rtos\n' > /tmp/attach
chmod +x /tmp/attach
kill -INT $first
wait $first || fail "console: exit code $? after Ctrl-C"
telnetd -l /tmp/attach -p 2323 -b 127.0.0.1
mkfifo /tmp/line
nc 127.0.0.1 2323 < /tmp/line > /tmp/screen 2>&1 &
terminal=$!
exec 9> /tmp/line
wait_for 20 grep -aqF "Ctrl-] ends" /tmp/screen
printf 'by \003hand\r' >&9
wait_for 20 grep -aqF "rtos: told 'by \\x03hand'" /tmp/screen
printf '\035' >&9
wait_for 20 sh -c "! pidof bulkhead"
exec 9>&-
wait $terminal || true

echo "stopped, started anew and destroyed meanwhile"
bulkhead console rtos --no-input > /tmp/first 2>&1 &
first=$!
wait_for 10 grep -q "^rtos: 3 tasks" /tmp/first
bulkhead cell stop rtos > /dev/null
wait_for 5 grep -q "cell 'rtos' has stopped, by root" /tmp/first
bulkhead cell start rtos > /dev/null 2>&1
wait_for 5 grep -q "cell 'rtos' runs" /tmp/first
shows 20 "^rtos: [0-9]+ s: .* right" /dev/null rtos
bulkhead cell destroy rtos > /dev/null
wait_for 5 grep -q "cell 'rtos' is destroyed" /tmp/first
wait $first || fail "console of a cell that is destroyed: exit code $?"
bulkhead cell destroy hello > /dev/null

echo "a cell that has a UART, and one that has no console"
run_rtos
refused 1 "cell 'rtos' prints on /pl011@9040000, a device of its own" bulkhead console rtos
bulkhead cell destroy rtos > /dev/null
cell /tmp/mute.dts mute
create /tmp/mute.dts
refused 1 "cell 'mute' has no console: say console = \"ring\" in its file" bulkhead console mute
bulkhead cell destroy mute > /dev/null

echo "no exit a character"
cell /tmp/bad.dts bad 'console = "ring"; bootargs = "rest=3000 print=150 rest=600000";'
run_cell /tmp/bad.dts bad hostile
wait_for 10 sh -c "bulkhead console bad --once | grep -q 'rest=3000'"
before=$(exits bad)
wait_for 30 sh -c "bulkhead console bad --once | grep -q 'hostile: line 000150'"
is "exits of a cell that printed 15000 characters" "$(exits bad)" "$before"
# The newest 7 KiB, from the start of a line on.
bulkhead console bad --once > /tmp/shown
is "lines of history" "$(grep -cE '^hostile: line 000[01][0-9]{2} \.{77}' /tmp/shown)" 71
bulkhead cell destroy bad > /dev/null

echo "nonsense in the indices"
cell /tmp/bad.dts bad 'console = "ring"; bootargs = "scribble=600000";'
run_cell /tmp/bad.dts bad hostile
yes "to nobody" | head -n 1000 > /tmp/typed
for _ in 1 2 3 4 5 6; do
    timeout 10 bulkhead console bad --once > /tmp/shown || fail "--once of a hostile cell: $?"
    [ "$(wc -c < /tmp/shown)" -le 8000 ] || fail "it shows more than there is room for"
    bulkhead console bad < /tmp/typed > /dev/null 2>&1 &
    usleep 300000
    kill -TERM $!
    # 143: it was ended before it had come to its terminal.
    wait $! || [ $? = 143 ] || fail "console of a hostile cell: it does not end as told"
done
is "the state of a cell that scribbles" "$(state bad)" running
bulkhead cell destroy bad > /dev/null

echo "nothing is left of it for the next one"
cell /tmp/bad.dts bad 'console = "ring"; bootargs = "rest=600000";'
create /tmp/bad.dts
is "the console of a new cell" "$(bulkhead console bad --once)" ""
bulkhead cell load bad $inmates/hello.elf > /dev/null
bulkhead cell start bad > /dev/null
wait_for 10 sh -c "bulkhead console bad --once | grep -q '^hello from a cell'"
is "lines" "$(bulkhead console bad --once | wc -l)" 1
bulkhead cell destroy bad > /dev/null

echo "memory of the hypervisor's: two pages while there is such a cell, none before and after"
cell /tmp/mute.dts mute
create /tmp/mute.dts
without=$(field hv_pages_free)
bulkhead cell destroy mute > /dev/null
free=$(field hv_pages_free)
cell /tmp/bad.dts bad 'console = "ring";'
create /tmp/bad.dts
# Two, and the table of the cell's that names them.
is "pages free with a console" "$(field hv_pages_free)" $((without - 3))
# By the device: four CPUs, so two pages of info, four of logs, and then the first cell's console.
dd if=/dev/bulkhead of=/tmp/shown bs=4096 skip=6 count=2 2> /tmp/said || fail "$(cat /tmp/said)"
is "bytes of a new console that are not 0" "$(tr -d '\0' < /tmp/shown | wc -c)" 0
bulkhead cell destroy bad > /dev/null
is "pages free after it" "$(field hv_pages_free)" "$free"
if dd if=/dev/bulkhead of=/tmp/shown bs=4096 skip=6 count=2 2> /tmp/said; then fail "a console that is gone can be read"; fi
grep -q "No such device or address" /tmp/said || fail "$(cat /tmp/said)"

echo "root writes nothing else by the device"
if echo x | dd of=/dev/bulkhead 2> /tmp/said; then fail "root wrote to what it may only read"; fi
grep -q "Operation not permitted" /tmp/said || fail "$(cat /tmp/said)"
bulkhead disable

echo "no memory for a console: by name"
needed=64K
until bulkhead enable --hv-memory "$needed" > /tmp/said 2>&1; do
    needed=$(sed -n 's/.*it needs \([0-9]* [KM]\)iB.*/\1/p' /tmp/said | tr -d ' ')
    [ -n "$needed" ] || fail "$(cat /tmp/said)"
done
free=$(field hv_pages_free)
# Each region more wants two tables more.
memory="0 0x40000000 0 0x200000"
for gib in 1 2 3 4 5 6 7; do
    cell /tmp/mute.dts mute "memory = <$memory>;"
    bulkhead cell create /tmp/mute.dts > /tmp/said 2>&1 || break
    bulkhead cell destroy mute > /dev/null
    cell /tmp/bad.dts bad "memory = <$memory>; console = \"ring\";"
    memory="$memory $gib 0 0 0x1000"
done
refused 1 'the hypervisor needs [0-9]+ pages more and has [0-9]+ left.*--hv-memory' bulkhead cell create /tmp/bad.dts
is "pages free after that" "$(field hv_pages_free)" "$free"
bulkhead disable
