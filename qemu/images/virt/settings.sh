# The disk of QEMU's virt board: GPT, an EFI system partition with systemd-boot, and the root file system.
board=qemu-virt
packages=(systemd-boot)
boot_folder=/boot/efi
boot_size_mib=256
table() {
    cat << TABLE
label: gpt
label-id: 5d1c4a0e-6b0f-4c3e-9d52-b01c4ead0001
start=1MiB, size=${boot_size_mib}MiB, type=U, uuid=5d1c4a0e-6b0f-4c3e-9d52-b01c4ead0002, name=efi
start=$((1 + boot_size_mib))MiB, size=$1MiB, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, uuid=5d1c4a0e-6b0f-4c3e-9d52-b01c4ead0003, name=root
TABLE
}
