#!/bin/sh
# Stopped as soon as started, off by itself, restarting itself for ever: each ends as it should, and can be destroyed.
# run: --timeout 240
# run: --machine virt-v2 --timeout 240
. /usr/lib/scenario.sh
create $cells/rtos.dts
bulkhead cell load rtos $inmates/rtos.elf
for round in 1 2 3 4 5 6 7 8 9 10; do
    bulkhead cell start rtos > /dev/null
    bulkhead cell stop rtos > /dev/null
done
is "the state after round $round" "$(state rtos)" stopped
bulkhead cell start rtos
rtos_reports
bulkhead cell destroy rtos

everything="off reset spin wfi"
! has_fiq_kicks || everything="$everything vector-loop"
for what in $everything; do
    sed "s/bootargs = .*/bootargs = \"$what\";/" $cells/bad.dts > /tmp/bad.dts
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    bulkhead cell start bad > /dev/null
    uart1-wait 20 "told to .$what" > /dev/null
    if [ $what = off ]; then
        wait_for 10 is_state bad stopped
        refused 1 'it is stopped: only what runs can be stopped' bulkhead cell stop bad
    fi
    bulkhead cell destroy bad
    online 0-3
done

echo "a cell that has to be loaded anew stops, and starts when somebody attends it"
sed 's/bootargs = .*/bootargs = "reset"; on-reset = "reload";/' $cells/bad.dts > /tmp/bad.dts
create /tmp/bad.dts
bulkhead cell load bad $inmates/hostile.elf > /dev/null
bulkhead cell start bad > /dev/null
wait_for 20 is_state bad stopped
says 'last end: by SYSTEM_RESET; started anew 0 times' bulkhead cell show bad
says 'it wants to start anew, with its image loaded anew: bulkhead cell start bad' bulkhead cell show bad
status=0
bulkhead cell attend bad > /tmp/attend.out 2>&1 || status=$?
is "the exit code of attend" $status 1
grep "'bad' is left stopped: it resets itself, 5 times in a row within 10 s of its start" /tmp/attend.out || fail "$(cat /tmp/attend.out)"
is "its starts" "$(grep -c 'bad: it resets itself$' /tmp/attend.out)" 4
is_state bad stopped
bulkhead cell destroy bad

echo "the one who attends leaves before the cell does"
sed 's/bootargs = .*/bootargs = "rest=600000";/' $cells/bad.dts > /tmp/bad.dts
create /tmp/bad.dts
bulkhead cell load bad $inmates/hostile.elf > /dev/null
bulkhead cell start bad > /dev/null
bulkhead cell attend bad > /tmp/attend.out 2>&1 &
# Once it catches SIGINT (2).
wait_for 20 grep -q 'SigCgt:.*[2367abef]$' /proc/$!/status
kill -INT $!
wait $! || fail "attend: exit code $?: $(cat /tmp/attend.out)"
grep "cell 'bad' is left alone" /tmp/attend.out || fail "$(cat /tmp/attend.out)"
bulkhead cell destroy bad
bulkhead log | grep 'cell 1 restarts' > /dev/null || fail "the log does not tell of restarts"
