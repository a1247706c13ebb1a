#!/bin/sh
# The RTOS runs beside either kernel, with KVM off or live, beside 1, 3 or 7 CPUs of Linux; Bulkhead goes without trace.
# run: --kernel 6.1 --cpus 2
# run: --kernel 6.1 --cpus 4 --kvm
# run: --kernel 6.1 --cpus 8
# run: --kernel 6.12 --cpus 2 --kvm
# run: --kernel 6.12 --cpus 8 --kvm
# run: --kernel 6.12 --overlay board-configs/qemu-virt/reserved-memory.dtso
# uart1: ^rtos: 3 s: .* right
# uart1-not: WRONG
# console-ok: WARNING: .* arch/arm64/kvm/
# console-ok: Call trace:$
. /usr/lib/scenario.sh
last=$(($(nproc) - 1))
note="KVM was using EL2 and has lost it. Its warnings"
if grep -q kvm-arm.mode=none /proc/cmdline; then
    grep "$note" /run/enable.log && fail "a KVM that is off is spoken of"
else
    grep "$note" /run/enable.log || fail "enable does not explain what KVM will say"
fi

run_rtos
[ $last -gt 1 ] && linux=0-$((last - 1)) || linux=0
online $linux
uart1-wait 20 '^rtos: 3 s'
bulkhead cell list
bulkhead cell stop rtos
bulkhead cell start rtos
rtos_reports
bulkhead cell destroy rtos
online 0-$last
bulkhead disable
online 0-$last
# Every trace is of a warning of KVM's, and where KVM is off there is none.
is "traces in the kernel's log" "$(dmesg | grep -c 'Call trace:')" "$(dmesg | grep -c 'WARNING: .* arch/arm64/kvm/')"
if grep -q kvm-arm.mode=none /proc/cmdline; then
    dmesg | grep 'Call trace:' && fail "traces, though KVM is off"
fi
exit 0
