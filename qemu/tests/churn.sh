#!/bin/sh
# A cell whose CPUs turn each other on and themselves off all the time is stopped, restarted, started again and destroyed at any moment of that:
# each time all its CPUs come, and in the end Linux has them and the memory back.
# run: --timeout 400
# run: --machine virt-v2 --timeout 400
# uart1-not: WRONG
# console-not: bulkhead: .*(stay|cannot|not come back)
. /usr/lib/scenario.sh
pages=$(field hv_pages_free)
pool=$(field pool_free)

# goes_on: it is under way; then some time, which is another in each round.
goes_on() {
    uart1-wait 60 '^smp: churn: 10$' > /dev/null
    usleep $((round * 7919 % 20000))
}

# churn CPUS ROUNDS: stops a cell of so many CPUs so often; every fifth time it is restarted first. It is destroyed while it runs.
churn() {
    echo "$1 CPUs"
    cell /tmp/smp.dts smp "cpus = <$1>; devices = \"serial1\"; console = \"serial1\"; bootargs = \"churn\";"
    create /tmp/smp.dts
    bulkhead cell load smp $inmates/smp.elf > /dev/null
    round=0
    while [ $round -lt "$2" ]; do
        round=$((round + 1))
        bulkhead cell start smp > /dev/null
        goes_on
        if [ $((round % 5)) = 0 ]; then
            bulkhead cell restart smp > /dev/null
            goes_on
        fi
        bulkhead cell stop smp > /dev/null
        is "the state after round $round" "$(state smp)" stopped
    done
    bulkhead cell start smp > /dev/null
    goes_on
    bulkhead cell destroy smp > /dev/null
    is "the hypervisor's free pages" "$(field hv_pages_free)" "$pages"
    is "free memory for cells" "$(field pool_free)" "$pool"
    online 0-3
}

churn 2 10
churn 3 5
bulkhead log | grep -E "fenced|fault" && fail "a CPU did not come"
bulkhead disable
online 0-3
