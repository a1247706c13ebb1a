#!/bin/sh
# Linux that runs at EL2 itself, or has its protected KVM there, is left alone and told what to boot with; so booted, on the
# same CPU, all works.
# run: --no-enable --cpu max
# run: --no-enable --cpu max --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
# run: --no-enable --cpu neoverse-n1
# run: --no-enable --cpu neoverse-n1 --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
# run: --no-enable --kvm --append kvm-arm.mode=protected
# run: --no-enable --cpu cortex-a76 --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
. /usr/lib/scenario.sh
modprobe bulkhead
if grep -q kvm-arm.mode=nvhe /proc/cmdline; then
    bulkhead enable
    run_rtos
    bulkhead cell destroy rtos
    bulkhead disable
elif grep -q kvm-arm.mode=protected /proc/cmdline; then
    refused 1 "protected KVM" bulkhead enable
    bulkhead doctor --json | grep "protected" || fail "doctor does not speak of it"
else
    refused 1 "runs at EL2 \(VHE\): boot it with .kvm-arm.mode=nvhe kvm-arm.mode=none." bulkhead enable
    bulkhead doctor --json | grep VHE || fail "doctor does not speak of it"
fi
online 0-3
