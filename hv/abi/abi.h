/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the loader module needs of the numbers and layouts in src/, for C. Their
 * meaning is told there, once. tests/header.rs compares every number, size and
 * offset with the Rust side.
 */
#ifndef BULKHEAD_ABI_H
#define BULKHEAD_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BULKHEAD_ABI_VERSION 1
#define BULKHEAD_MAX_CELLS 8

/* src/console.rs */
#define BULKHEAD_CONSOLE_SIZE 0x2000

/* src/enter.rs */
#define BULKHEAD_IMAGE_MAGIC 0x444145484b4c5542
#define BULKHEAD_HV_ALIGN 0x10000
#define BULKHEAD_MAILBOX_SIZE 0x4000
#define BULKHEAD_ENTER_PREPARE 0
#define BULKHEAD_ENTER_JOIN 1
#define BULKHEAD_INJECT_MODULE_LATE 6

struct bulkhead_image_header {
	__u64 magic;
	__u64 abi_version;
	__u64 entry;
	__u64 file_size;
	__u64 memory_size;
};

struct bulkhead_enter_args {
	__u64 magic;
	__u64 hv_base;
	__u64 hv_size;
	__u64 pool_base;
	__u64 pool_size;
	__u64 blob_size;
	__u64 inject;
	__u64 inject_mpidr;
	__u64 pen;
};

/* src/call.rs */
#define BULKHEAD_CALL_COMMIT 0xc6004201
#define BULKHEAD_CALL_DISABLE 0xc6004202
#define BULKHEAD_CALL_LEAVE 0xc6004203
#define BULKHEAD_CALL_CELL_CREATE 0xc6004204
#define BULKHEAD_CALL_CELL_LOAD 0xc6004205
#define BULKHEAD_CALL_CELL_LOADED 0xc6004206
#define BULKHEAD_CALL_CELL_START 0xc6004207
#define BULKHEAD_CALL_CELL_STOP 0xc6004208
#define BULKHEAD_CALL_CELL_DESTROY 0xc6004209
#define BULKHEAD_CALL_CELL_WAIT 0xc600420a
#define BULKHEAD_CALL_CELL_WATCH 0xc600420b

/* src/code.rs, those that the module gives or looks at. */
#define BULKHEAD_CODE_PENDING 1
#define BULKHEAD_CODE_BAD_ARGUMENT 3
#define BULKHEAD_CODE_WRONG_STATE 4
#define BULKHEAD_CODE_NO_SUCH_CELL 5
#define BULKHEAD_CODE_BAD_LENGTH 12
#define BULKHEAD_CODE_UNALIGNED 20
#define BULKHEAD_CODE_CPU_OF_LINUX 33
#define BULKHEAD_CODE_LAST_CPU 34
#define BULKHEAD_CODE_RELEASE_OUTSIDE 47
#define BULKHEAD_CODE_HV_MEMORY_TOO_SMALL 50
#define BULKHEAD_CODE_CPU_SILENT 56
#define BULKHEAD_CODE_INJECTED 57
#define BULKHEAD_CODE_ALREADY_ENABLED 70
#define BULKHEAD_CODE_NOT_ENABLED 71
#define BULKHEAD_CODE_KERNEL_AT_EL2 72
#define BULKHEAD_CODE_NO_EL2 73
#define BULKHEAD_CODE_NO_MEMORY 74
#define BULKHEAD_CODE_NO_IMAGE 75
#define BULKHEAD_CODE_BAD_IMAGE 76
#define BULKHEAD_CODE_CPU_OFFLINE_FAILED 77
#define BULKHEAD_CODE_CPU_ONLINE_FAILED 78
#define BULKHEAD_CODE_INTERRUPTED 79
#define BULKHEAD_CODE_PROTECTED_KVM 80
#define BULKHEAD_CODE_RESERVED_IS_RAM 81
#define BULKHEAD_CODE_NOT_NOW 82

/* src/ioctl.rs */
struct bulkhead_answer {
	__s64 code;
	__u64 a;
	__u64 b;
};

struct bulkhead_status {
	__u64 abi_version;
	__u64 enabled;
	__u64 shared_size;
	__u64 reserved_base;
	__u64 reserved_size;
	__u64 has_el2;
	__u64 current_el;
};

struct bulkhead_enable {
	struct bulkhead_answer answer;
	__u64 blob;
	__u64 blob_size;
	__u64 hv_size;
	__u64 pool_size;
	__u64 inject;
	__u64 inject_mpidr;
};

struct bulkhead_cell_create {
	struct bulkhead_answer answer;
	__u64 blob;
	__u64 blob_size;
	__u64 linux_cpus;
};

struct bulkhead_cell_load {
	struct bulkhead_answer answer;
	__u64 cell;
	__u64 gpa;
	__u64 bytes;
	__u64 size;
};

struct bulkhead_cell_loaded {
	struct bulkhead_answer answer;
	__u64 cell;
	__u64 entry;
	__u64 argument;
};

struct bulkhead_cell_command {
	struct bulkhead_answer answer;
	__u64 cell;
};

#define BULKHEAD_IOCTL_STATUS _IOWR(0xb4, 0, struct bulkhead_status)
#define BULKHEAD_IOCTL_ENABLE _IOWR(0xb4, 1, struct bulkhead_enable)
#define BULKHEAD_IOCTL_DISABLE _IOWR(0xb4, 2, struct bulkhead_cell_command)
#define BULKHEAD_IOCTL_CELL_CREATE _IOWR(0xb4, 3, struct bulkhead_cell_create)
#define BULKHEAD_IOCTL_CELL_LOAD _IOWR(0xb4, 4, struct bulkhead_cell_load)
#define BULKHEAD_IOCTL_CELL_LOADED _IOWR(0xb4, 5, struct bulkhead_cell_loaded)
#define BULKHEAD_IOCTL_CELL_START _IOWR(0xb4, 6, struct bulkhead_cell_command)
#define BULKHEAD_IOCTL_CELL_STOP _IOWR(0xb4, 7, struct bulkhead_cell_command)
#define BULKHEAD_IOCTL_CELL_DESTROY _IOWR(0xb4, 8, struct bulkhead_cell_command)

#endif
