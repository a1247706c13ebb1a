# Makes disks without loop devices and without root, the same bytes each time; sourced by qemu/image. Expects $repo.
e2fsprogs=${repo:?}/target/e2fsprogs

# A mke2fs that fills a file system from a tar archive and keeps all dates: that of bookworm-backports, beside this machine's.
fetch_e2fsprogs() {
    local packages=(e2fsprogs:amd64 libext2fs2:amd64 libcom-err2:amd64 libss2:amd64 libarchive13:amd64)
    [ -e "$e2fsprogs" ] && return
    echo "image: fetching mke2fs 1.47.2" >&2
    rm -rf "$e2fsprogs.new"
    mkdir -p "$e2fsprogs.new/debs"
    (cd "$e2fsprogs.new/debs" && suite_apt bookworm-backports get -q=2 download "${packages[@]}")
    local deb
    for deb in "$e2fsprogs.new"/debs/*.deb; do dpkg-deb -x "$deb" "$e2fsprogs.new"; done
    rm -r "$e2fsprogs.new/debs"
    mv "$e2fsprogs.new" "$e2fsprogs"
}

# make_disk ROOT_TAR WORK: WORK/disk.img of the settings' table: the boot partition, then the root file system.
make_disk() {
    local tar=$1 work=$2 libraries root_size_mib
    libraries=$e2fsprogs/lib/x86_64-linux-gnu:$e2fsprogs/usr/lib/x86_64-linux-gnu
    # What the firmware reads, FAT; volume id and dates are fixed.
    tar -C "$work" -xf "$tar" ".$boot_folder"
    echo "boot partition"
    mkfs.vfat -C --invariant -F 32 -i B01C4EAD -n BOOT "$work/boot.img" $((boot_size_mib * 1024)) > /dev/null
    (cd "$work$boot_folder" && find . -mindepth 1 -type d | LC_ALL=C sort | sed 's/^\.//' | while read -r folder; do
        mmd -i "$work/boot.img" "::$folder"
    done
    find . -type f | LC_ALL=C sort | sed 's/^\.\///' | while read -r file; do
        mcopy -m -i "$work/boot.img" "$file" "::$file"
    done)

    echo "root file system"
    mmtarfilter "--path-exclude=$boot_folder/*" < "$tar" > "$work/without-boot.tar"
    # mmdebstrap leaves out /dev altogether; the initramfs wants to put it somewhere.
    mkdir "$work/dev"
    tar -C "$work" --owner=0 --group=0 --mode=755 --mtime="@$SOURCE_DATE_EPOCH" -rf "$work/without-boot.tar" ./dev
    # A quarter more than its files take, and room to work.
    root_size_mib=$(($(stat -c %s "$work/without-boot.tar") * 5 / 4 / 1048576 + 256))
    LD_LIBRARY_PATH=$libraries "$e2fsprogs/sbin/mke2fs" -q -t ext4 -L root -m 1 \
        -U b01c4ead-0000-4000-8000-000000000001 -E hash_seed=b01c4ead-0000-4000-8000-000000000002,root_owner=0:0 \
        -d "$work/without-boot.tar" "$work/root.img" "${root_size_mib}M"
    rm "$work/without-boot.tar"

    echo "partitions"
    truncate -s $((1 + boot_size_mib + root_size_mib + 1))M "$work/disk.img"
    table "$root_size_mib" | sfdisk -q "$work/disk.img"
    dd if="$work/boot.img" of="$work/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
    dd if="$work/root.img" of="$work/disk.img" bs=1M seek=$((1 + boot_size_mib)) conv=notrunc,sparse status=none
}
