package private

import "syscall"

// attributes drops root and asks the kernel to stop the server when we die.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGINT}
}
