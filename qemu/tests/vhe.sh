#!/bin/sh
# Linux that runs at EL2 itself is left alone and told what to boot with; so booted, on the same CPU, all works.
# run: --no-enable --cpu max
# run: --no-enable --cpu max --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
# run: --no-enable --cpu cortex-a76 --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
. /usr/lib/scenario.sh
modprobe bulkhead
if grep -q kvm-arm.mode=nvhe /proc/cmdline; then
    bulkhead enable
    run_rtos
    bulkhead cell destroy rtos
    bulkhead disable
else
    refused 1 "runs at EL2 \(VHE\): boot it with .kvm-arm.mode=nvhe kvm-arm.mode=none." bulkhead enable
    bulkhead doctor --json | grep VHE || fail "doctor does not speak of it"
fi
online 0-3
