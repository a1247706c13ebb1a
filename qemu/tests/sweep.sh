#!/bin/sh
# Linux calls by SMC and by HVC, from EL1, by every service of SMCCC. Firmware's answers are what they are without Bulkhead; by HVC all but what
# hv/README.md lists is NOT_SUPPORTED; every register of the distributor can be read by every width, none changes a cell's interrupt; none of it
# does Linux, or the cell, any harm.
# run: --timeout 240 --no-enable --put target/dist/6.12/sweep.ko:/root/sweep.ko
# run: --timeout 240 --no-enable --put target/dist/6.12/sweep.ko:/root/sweep.ko --machine versal
. /usr/lib/scenario.sh

# sweep ARGUMENTS: what it says, `FUNCTION answers VALUE` a line and a line of sums.
sweep() {
    dmesg -c > /dev/null
    insmod /root/sweep.ko "$@"
    rmmod sweep
    dmesg | sed -n 's/.*sweep: //p'
}

# Two of the kernel's hypervisor stub, SMCCC_VERSION, PSCI_VERSION, UID, revision and VERSION of hv/abi; some with the hint of bit 16.
cat > /tmp/answered << 'END'
0x0 answers 0xbadca11
0x2 answers 0x0
0x80000000 answers 0x10001
0x80010000 answers 0x10001
0x84000000 answers 0x10001
0x84010000 answers 0x10001
0x8600ff01 answers 0x6b6c7562
0x8600ff03 answers 0x1
0x8601ff01 answers 0x6b6c7562
0x8601ff03 answers 0x1
0xc6004200 answers 0x1
0xc6014200 answers 0x1
END
modprobe bulkhead
sweep by_smc=1 > /tmp/without
tail -n 1 /tmp/without
bulkhead enable > /dev/null
run_rtos
cpus=$(cat /sys/devices/system/cpu/online)
for cpu in 0 "${cpus#0-}"; do
    taskset -p $((1 << cpu)) $$ > /dev/null
    sweep by_smc=1 > /tmp/with
    diff /tmp/without /tmp/with || fail "CPU $cpu: firmware answers otherwise"
    sweep > /tmp/by_hvc
    grep answers /tmp/by_hvc | sort -u | diff /tmp/answered - || fail "CPU $cpu: HVC answers otherwise"
    online "$cpus"
    bulkhead status --json | grep -q '"panic": null' || fail "$(bulkhead status)"
    rtos_reports
done
tail -n 1 /tmp/by_hvc
gicd=$(sed -n 's/^ *\([0-9a-f]*\)-.* : GICD$/\1/p' /proc/iomem)
foreign=$(bulkhead map | sed -n 's/.* \([0-9][0-9]*\) *rtos$/\1/p' | tail -n 1)
sweep gicd=0x"$gicd" foreign="$foreign" > /tmp/distributor
cat /tmp/distributor
is "what Linux has of the cell's interrupt" "$(tail -n 1 /tmp/distributor)" "of interrupt $foreign Linux sees 0x0"
rtos_reports
bulkhead cell destroy rtos > /dev/null
bulkhead disable
sweep by_smc=1 > /tmp/after
diff /tmp/without /tmp/after || fail "after disable firmware answers otherwise"
