# The Raspberry Pi 4's SD card: MBR, a FAT partition for the firmware, and the root file system.
board=rpi4
packages=(raspi-firmware)
boot_folder=/boot/firmware
boot_size_mib=384
table() {
    cat << TABLE
label: dos
label-id: 0xb01c4ead
start=1MiB, size=${boot_size_mib}MiB, type=c, bootable
start=$((1 + boot_size_mib))MiB, size=$1MiB, type=83
TABLE
}
