// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /dev/bulkhead: each ioctl is one transaction, one at a time.
 * See hv/abi/src/ioctl.rs for the contract.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/uaccess.h>

#include "bulkhead.h"

/* One transaction at a time: EL2 has one mailbox. */
static DEFINE_MUTEX(transaction_lock);

union request {
	struct bulkhead_answer answer;	/* first in every one of them */
	struct bulkhead_enable enable;
	struct bulkhead_cell_create create;
	struct bulkhead_cell_load load;
	struct bulkhead_cell_loaded loaded;
	struct bulkhead_cell_command command;
};

static int device_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static ssize_t device_read(struct file *file, char __user *to, size_t count,
			   loff_t *offset)
{
	return bulkhead_system_read(to, count, offset);
}

static ssize_t device_write(struct file *file, const char __user *from,
			    size_t count, loff_t *offset)
{
	return bulkhead_system_write(from, count, offset);
}

static long device_status(void __user *to)
{
	struct bulkhead_status status;

	bulkhead_system_status(&status);
	return copy_to_user(to, &status, sizeof(status)) ? -EFAULT : 0;
}

/* Returns -errno when the caller's memory is wrong, else 0 and an answer. */
static int carry_out(unsigned int number, union request *request)
{
	switch (number) {
	case BULKHEAD_IOCTL_ENABLE:
		return bulkhead_system_enable(&request->enable);
	case BULKHEAD_IOCTL_DISABLE:
		bulkhead_system_disable(&request->answer);
		return 0;
	case BULKHEAD_IOCTL_CELL_CREATE:
		return bulkhead_cell_create(&request->create);
	case BULKHEAD_IOCTL_CELL_LOAD:
		return bulkhead_cell_load(&request->load);
	case BULKHEAD_IOCTL_CELL_LOADED:
		bulkhead_cell_loaded(&request->loaded);
		return 0;
	case BULKHEAD_IOCTL_CELL_START:
		bulkhead_cell_start(&request->command);
		return 0;
	case BULKHEAD_IOCTL_CELL_STOP:
		bulkhead_cell_stop(&request->command);
		return 0;
	case BULKHEAD_IOCTL_CELL_DESTROY:
		bulkhead_cell_destroy(&request->command);
		return 0;
	default:
		return -ENOTTY;
	}
}

static long device_ioctl(struct file *file, unsigned int number,
			 unsigned long address)
{
	void __user *user = (void __user *)address;
	union request request = {};
	int error;

	if (number == BULKHEAD_IOCTL_STATUS)
		return device_status(user);
	if (_IOC_TYPE(number) != _IOC_TYPE(BULKHEAD_IOCTL_STATUS) ||
	    _IOC_SIZE(number) < sizeof(request.answer) ||
	    _IOC_SIZE(number) > sizeof(request))
		return -ENOTTY;
	if (copy_from_user(&request, user, _IOC_SIZE(number)))
		return -EFAULT;
	/* The answer must reach the caller: tried before anything is done. */
	memset(&request.answer, 0, sizeof(request.answer));
	if (copy_to_user(user, &request.answer, sizeof(request.answer)))
		return -EFAULT;

	if (mutex_lock_killable(&transaction_lock))
		return -EINTR;
	error = carry_out(number, &request);
	mutex_unlock(&transaction_lock);
	if (error)
		return error;
	return copy_to_user(user, &request.answer, sizeof(request.answer)) ?
	       -EFAULT : 0;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.read = device_read,
	.write = device_write,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = default_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bulkhead",
	.fops = &device_operations,
	.mode = 0600,
};

struct device *bulkhead_device(void)
{
	return device.this_device;
}

/* Firmware and the next kernel get every CPU and EL2 as this kernel got them. */
static int before_reboot(struct notifier_block *block, unsigned long action,
			 void *command)
{
	mutex_lock(&transaction_lock);
	bulkhead_system_shut_down();
	mutex_unlock(&transaction_lock);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {
	.notifier_call = before_reboot,
	.priority = INT_MAX,	/* KVM's own resets EL2 too, after us */
};

/* EL2's state would be lost while the CPUs are off, or under the image's. */
static int around_suspend(struct notifier_block *block, unsigned long action,
			  void *unused)
{
	int verdict = NOTIFY_DONE;

	mutex_lock(&transaction_lock);
	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		if (bulkhead_system_stuck()) {
			pr_err("no suspend: a CPU is still in the hypervisor; reboot\n");
			verdict = NOTIFY_BAD;
		} else if (bulkhead_system_enabled()) {
			pr_err("no suspend while enabled; run 'bulkhead disable' first\n");
			verdict = NOTIFY_BAD;
		} else {
			bulkhead_system_close();
		}
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		bulkhead_system_reopen();
		break;
	}
	mutex_unlock(&transaction_lock);
	return verdict;
}

static struct notifier_block suspend_block = {
	.notifier_call = around_suspend,
};

static int __init bulkhead_init(void)
{
	int error;

	error = register_reboot_notifier(&reboot_block);
	if (error)
		return error;
	error = register_pm_notifier(&suspend_block);
	if (error)
		goto unregister_reboot;
	error = misc_register(&device);
	if (error)
		goto unregister_suspend;
	return 0;

unregister_suspend:
	unregister_pm_notifier(&suspend_block);
unregister_reboot:
	unregister_reboot_notifier(&reboot_block);
	return error;
}

/* Not enabled here: enabled, the module holds itself. */
static void __exit bulkhead_exit(void)
{
	misc_deregister(&device);
	unregister_pm_notifier(&suspend_block);
	unregister_reboot_notifier(&reboot_block);
}

module_init(bulkhead_init);
module_exit(bulkhead_exit);

MODULE_AUTHOR("The Bulkhead authors");
MODULE_DESCRIPTION("Loader of the Bulkhead hypervisor");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("0.1.0");
