#!/bin/sh
# Power-off and reboot with cells running, one of them deaf, end the machine, with EL2 and all CPUs given back before.
# run: --expect poweroff --append end=poweroff
# run: --expect reboot --append end=reboot
# run: --expect reboot --append end=reboot --kernel 6.1 --kvm
# run: --expect poweroff --append end=poweroff --cpus 8 --overlay board-configs/qemu-virt/reserved-memory.dtso
# console: bulkhead: disabled
# console: reboot: (Power down|Restarting system)
# console-not: bulkhead: .*(stay|cannot|not come back)
. /usr/lib/scenario.sh
run_rtos
cell /tmp/deaf.dts deaf 'bootargs = "spin";'
create /tmp/deaf.dts
bulkhead cell load deaf $inmates/hostile.elf > /dev/null
bulkhead cell start deaf > /dev/null
is "the deaf cell" "$(state deaf)" running
cell /tmp/empty.dts empty 'cpus = "/cpus/cpu@1";'
create /tmp/empty.dts
"$(sed 's/.*end=\([a-z]*\).*/\1/' /proc/cmdline)" -f
