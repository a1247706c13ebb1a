#!/bin/sh
# Cells of two and of three CPUs start their CPUs and pass interrupts between them: an exit for each that is sent, none
# where it comes, none for their ticks; Linux sees none of it. They stop and start anew with all CPUs on.
# run: --timeout 240
# run: --machine virt-v2 --timeout 240
# uart1: ^smp: 2 CPUs: all right$
# uart1: ^smp: 3 CPUs: all right$
# uart1-not: WRONG
. /usr/lib/scenario.sh

# exits CPU: how often it has entered EL2, at all and for SGIs.
exits() {
    bulkhead cell stats smp | awk -v cpu="$1" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "SGI") sgi = i }
        NR > 1 && $1 == cpu { print $3, $sgi }'
}

# Linux's own interrupt of the number that the cells send: there is none.
strays() {
    awk '$1 == "IPI4:" { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts
}

# smp CPU...: the cell of these CPUs, its own CPUs 0 and 1 being the first two; what its window cost.
smp() {
    local cpus="" cpu
    for cpu in "$@"; do cpus="$cpus${cpus:+, }\"/cpus/cpu@$cpu\""; done
    cell /tmp/smp.dts smp "cpus = $cpus; devices = \"serial1\"; console = \"serial1\";"
    create /tmp/smp.dts
    bulkhead cell load smp $inmates/smp.elf > /dev/null
    bulkhead cell start smp > /dev/null
    uart1-wait 60 '^smp: window in' > /dev/null
    before_sender=$(exits "$1") before_receiver=$(exits "$2")
    uart1-wait 30 '^smp: window of 1000 done' > /dev/null
    uart1-wait 30 '^smp: ticks'
    after_sender=$(exits "$1") after_receiver=$(exits "$2")
    echo "CPU $1 sends 1000: exits $before_sender -> $after_sender; CPU $2: $before_receiver -> $after_receiver"
    is "exits of the sender" "$after_sender" "$((${before_sender% *} + 1000)) $((${before_sender#* } + 1000))"
    is "exits of the receiver" "$after_receiver" "$before_receiver"
    is "what Linux got of it" "$(strays)" 0
}

strays_before=$(strays)
is "timer broadcasts of Linux" "$strays_before" 0
smp 2 3
online 0-1
bulkhead cell stop smp > /dev/null
bulkhead cell start smp > /dev/null
uart1-wait 60 '^smp: 2 CPUs: all right' > /dev/null
uart1-wait 60 '^smp: window in' > /dev/null
bulkhead cell destroy smp > /dev/null
online 0-3
smp 3 1 2
online 0
bulkhead cell destroy smp > /dev/null
online 0-3
bulkhead disable
online 0-3
