#!/bin/sh
# Enable that fails, at any step and on any CPU, leaves Linux as it was on all; enable works right after it.
# run: --no-enable
# run: --no-enable --kernel 6.1 --cpus 2
. /usr/lib/scenario.sh
modprobe bulkhead
last=$(($(nproc) - 1))
resources=$(cat /proc/iomem)

# Steps 1 to 6 of hv/abi/src/enter.rs, `inject`: prepare early and late, join early and late, commit, module late.
fails() {
    refused 1 "failed at step ${1%@*}, as the test asked" bulkhead enable --inject "$1"
    is "Linux's resources" "$(cat /proc/iomem)" "$resources"
    online 0-$last
}

works() {
    bulkhead enable > /dev/null
    bulkhead disable > /dev/null
    online 0-$last
}

for step in 1 2 5 6; do
    fails $step
    works
done
for step in 3 4; do
    cpu=0
    while [ $cpu -le $last ]; do
        fails $step@$cpu
        cpu=$((cpu + 1))
    done
    works
done

echo "and then it is a Bulkhead like any"
bulkhead enable
run_rtos
bulkhead cell destroy rtos
bulkhead disable
online 0-$last
dmesg | grep -E 'bulkhead:.*(stay|stuck|cannot)' && fail "the module complains"
exit 0
