#!/bin/sh
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The only program of the guest. It prints lines of a word and a JSON object:
#   disk {...}    each disk, with the number of the report
#   file {...}    each small file on a disk with an ISO 9660 file system, in base64
#   report {...}  the end of a report; a new one follows when a disk appears, disappears or changes its size
#   beat {...}    each second for each disk whose serial begins with DATA, in any case
#   speed {...}   each second for a disk whose serial begins with SPEED: in how many hundredths of a second 8 MiB were
#                 written to a place of it, which are numbered from 0, one place after the other
#   sum {...}     the SHA-256 digest of the first 16 MiB of each disk whose serial begins with SUM, before the report
# On a disk of beats, sector 0 has the number of times that a guest started with it, and sector N has beat N of the last
# guest. A beat is printed when it is on the disk. A guest reboots once if the serial of such a disk ends with REBOOT.
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done < /modules/order

# The first line of a file without characters that JSON has to escape.
value() {
    head -n 1 "$1" 2>/dev/null | tr -d '\000-\037\\"' | sed 's/^ *//; s/ *$//'
}

# virtio has a file with the serial, SCSI and SATA have page 80 of the vital product data, after four bytes.
serial() {
    if [ -f "$1/serial" ]; then
        value "$1/serial"
    elif [ -f "$1/device/vpd_pg80" ]; then
        tail -c +5 "$1/device/vpd_pg80" | tr -d '\000-\037\\"' | sed 's/^ *//; s/ *$//'
    fi
}

# Whether a disk refuses a write, for which only disks are tried that the kernel takes for read-only.
refuses() {
    [ "$(cat "/sys/block/$1/ro")" = 1 ] && ! dd if=/dev/zero of="/dev/$1" bs=2048 count=1 conv=notrunc,fsync 2>/dev/null
}

sum() {
    case $2 in
    SUM*) printf 'sum {"serial": "%s", "sha256": "%s"}\n' "$2" "$(head -c 16777216 "/dev/$1" | sha256sum | cut -c 1-64)" ;;
    esac
}

disks() {
    for path in /sys/block/*; do
        case ${path##*/} in loop* | ram* | zram* | fd*) ;; *) echo "${path##*/}" ;; esac
    done
}

state() {
    for name in $(disks); do echo "$name $(cat "/sys/block/$name/size")"; done
}

files() {
    [ "$(dd if="/dev/$1" bs=1 skip=32769 count=5 2>/dev/null)" = CD001 ] || return
    mount -t iso9660 -o ro "/dev/$1" /mnt 2>/dev/null || return
    find /mnt -type f -size -8k | while read -r file; do
        printf 'file {"report": %d, "disk": "%s", "path": "%s", "base64": "%s"}\n' \
            "$number" "$1" "${file#/mnt/}" "$(base64 -w 0 "$file")"
    done
    umount /mnt
}

report() {
    number=$((number + 1))
    for name in $(disks); do
        path=/sys/block/$name serial=$(serial "/sys/block/$name")
        sum "$name" "$serial"
        refuses "$name" && read_only=1 || read_only=0
        printf 'disk {"report": %d, "name": "%s", "serial": "%s", "bytes": %d, "read_only": %d, "queues": %d,' \
            "$number" "$name" "$serial" "$(($(cat "$path/size") * 512))" "$read_only" \
            "$(find "$path/mq" -mindepth 1 -maxdepth 1 | wc -l)"
        printf ' "block_size": %d, "cache": "%s", "model": "%s"}\n' \
            "$(cat "$path/queue/logical_block_size")" "$(value "$path/queue/write_cache")" "$(value "$path/device/model")"
        files "$name"
    done
    printf 'report {"report": %d, "uptime": %s}\n' "$number" "$(cut -d ' ' -f 1 /proc/uptime)"
}

# Write a line into a sector of a disk.
write() {
    printf '%s\n' "$3" | dd of="/dev/$1" bs=512 seek="$2" conv=notrunc,fsync 2>/dev/null
}

# The variables boots_SERIAL and beats_SERIAL keep the numbers of each disk.
beat() {
    for name in $(disks); do
        serial=$(serial "/sys/block/$name")
        case $serial in [Dd][Aa][Tt][Aa]*) ;; *) continue ;; esac
        key=$(echo "$serial" | tr -c 'A-Za-z0-9\n' _)
        eval "boots=\$boots_$key beats=\$beats_$key"
        if [ -z "$boots" ]; then
            boots=$(dd if="/dev/$name" bs=512 count=1 2>/dev/null | tr -d '\000' | sed -n 's/^boots //p')
            boots=$((${boots:-0} + 1)) beats=0
            write "$name" 0 "boots $boots" || continue
        fi
        beats=$((beats + 1))
        write "$name" "$beats" "beat $beats" || continue
        eval "boots_$key=$boots beats_$key=$beats"
        printf 'beat {"disk": "%s", "serial": "%s", "boots": %d, "beats": %d}\n' "$name" "$serial" "$boots" "$beats"
        case $serial in *REBOOT) [ "$boots" = 1 ] && [ "$beats" = 3 ] && reboot -f ;; esac
    done
}

# What is written has no zeros, for which storage may need no space.
speed() {
    for name in $(disks); do
        serial=$(serial "/sys/block/$name")
        case $serial in SPEED*) ;; *) continue ;; esac
        [ -f /noise ] || head -c 8388608 /dev/urandom > /noise
        begun=$(tr -d . < /proc/uptime | cut -d ' ' -f 1)
        dd if=/noise of="/dev/$name" bs=1048576 seek=$((place * 8)) conv=notrunc,fsync 2>/dev/null || continue
        ended=$(tr -d . < /proc/uptime | cut -d ' ' -f 1)
        printf 'speed {"serial": "%s", "place": %d, "hundredths": %d}\n' "$serial" "$place" "$((ended - begun))"
        place=$(((place + 1) % ($(cat "/sys/block/$name/size") / 16384)))
    done
}

number=0
place=0
seen=
while true; do
    now=$(state)
    if [ "$now" != "$seen" ]; then
        seen=$now
        report
    fi
    beat
    speed
    sleep 1
done
