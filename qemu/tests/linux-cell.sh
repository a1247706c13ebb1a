#!/bin/sh
# A second Linux beside root: Debian's own kernel with a RAM disk, which its file names or the command, in a cell of two CPUs, from its generated
# tree. It works, costs nothing but SGIs when idle, reboots with all of it loaded anew, has a shell on its console, and gives
# everything back when it powers off.
# run: --no-enable --timeout 300 --put target/kernels/6.1/Image:/root/Image
# run: --no-enable --timeout 400 --kernel 6.1 --cpu max,pauth-impdef=on --append "kvm-arm.mode=nvhe kvm-arm.mode=none" --put target/kernels/6.12/Image:/root/Image
# uart1: ^.* Machine model: linux
# uart1: GICv3: CPU1: found redistributor 1 region 0:0x00000000080c0000
# uart1-not: guest: FAILED|WARNING:|BUG:|Oops|[Cc]all [Tt]race|rcu:.*stall|soft lockup|Internal error
. /usr/lib/scenario.sh

# What the guest does, until it sleeps for root's look at it; and how it ends.
mkdir -p /tmp/guest/bin /tmp/guest/dev /tmp/guest/proc /tmp/guest/sys /tmp/guest/tmp
cp /bin/busybox /tmp/guest/bin/
ln -s busybox /tmp/guest/bin/sh
cat > /tmp/guest/init <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec > /dev/console 2>&1
is() {
    if [ "$2" = "$3" ]; then return; fi
    echo "guest: FAILED: $1 is '$2', not '$3'"
    poweroff -f
}
# counts REGEX: how often each CPU has had these interrupts.
counts() {
    awk -v all="$1" '$0 ~ all { a += $2; b += $3 } END { print (a > 0) (b > 0) }' /proc/interrupts
}

echo "guest: $(uname -r), $(nproc) CPUs, boot $(cat /boot)"
cpu=/sys/devices/system/cpu/cpu1
is "CPUs" "$(nproc)" 2
echo 0 > $cpu/online
is "CPUs, one turned off" "$(nproc)" 1
echo 1 > $cpu/online
is "CPUs, on again" "$(nproc)" 2
for i in $(seq 1 40); do
    for at in 0 1; do taskset -c $at /bin/busybox true & done
    wait
done
for at in 0 1; do taskset -c $at usleep 100000; done
is "timers and IPIs of both" "$(counts arch_timer)$(counts IPI)" 1111
is "a checksum" "$(head -c 8388608 /dev/zero | md5sum)" "96995b58d4cbf6aaa9041b4f00c7f6ae  -"
[ ! -e /proc/device-tree/comm* ] || is "a comm page" there none
echo "guest: all right; idle"
if [ "$(cat /boot)" = 2 ]; then exec setsid -c sh < /dev/ttyAMA0 > /dev/ttyAMA0 2>&1; fi
sleep 15
echo "guest: reboot"
reboot -f
EOF
chmod +x /tmp/guest/init

# initrd BOOT: the RAM disk of this boot.
initrd() {
    echo "$1" > /tmp/guest/boot
    (cd /tmp/guest && find . | cpio -o -H newc 2> /dev/null) | gzip -1 > /tmp/initrd
}

# exits: of the cell's CPUs, SGIs and all others.
exits() {
    bulkhead cell stats linux | awk 'NR > 1 { all += $3; sgi += $6 } END { print sgi, all - sgi }'
}

# Named from the cell's file on, or by the command: with one of the kernels each.
set -- $cells/linux.dts /root/Image --initrd /tmp/initrd
case $(uname -r) in
    6.12.*)
        sed '$s|^};|\tinitrd = "initrd";\n};|' $cells/linux.dts > /tmp/linux.dts
        set -- /tmp/linux.dts /root/Image
        ;;
esac
refused 5 "/tmp/initrd: No such file" bulkhead run --rm "$@"
initrd 1
bulkhead run --rm "$@" > /tmp/run.out 2>&1 &
uart1-wait 120 '^guest: .* 2 CPUs, boot 1$' || fail "$(cat /tmp/run.out)"
online 0-1
uart1-wait 60 '^guest: all right; idle'
sleep 2 # what it has begun ends
before=$(exits)
sleep 10
after=$(exits)
echo "ten idle seconds: SGIs and other exits $before -> $after"
is "exits of an idle Linux that are no SGIs" "${after#* }" "${before#* }"
initrd 2
uart1-wait 60 '^guest: reboot'
uart1-wait 120 '^guest: .* 2 CPUs, boot 2$' || fail "$(cat /tmp/run.out)"
uart1-wait 60 '^guest: all right; idle'
uart1-type 'echo "typed on CPU $(nproc), $(ls /init)"'
uart1-wait 30 '^typed on CPU 2, /init'
uart1-type 'poweroff -f'
wait $! || fail "run --rm: exit code $?: $(cat /tmp/run.out)"
cat /tmp/run.out
grep "linux: it resets itself" /tmp/run.out
grep "cell 'linux' is destroyed: it has stopped" /tmp/run.out
online 0-3
[ ! -e /sys/module/bulkhead ] || fail "the module is still loaded"
