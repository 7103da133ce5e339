//go:build !linux

package private

import "syscall"

// attributes drops root; the terminal's Ctrl-C must not reach the server before us.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
