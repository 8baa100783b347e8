// Copyright (c) 2026, kubevirt.cdi contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package libnbd has the names that CDI's VDDK import and KubeVirt's incremental backup compile against. The real
// module is not on Go's module proxy and needs cgo, so these builds answer both with an error and are otherwise
// complete.
package libnbd

const (
	CMD_FLAG_REQ_ONE          uint32 = 1 << 3
	STATE_HOLE                uint32 = 1 << 0
	STATE_ZERO                uint32 = 1 << 1
	STATE_DIRTY               uint32 = 1 << 0
	CONTEXT_BASE_ALLOCATION          = "base:allocation"
	CONTEXT_QEMU_DIRTY_BITMAP        = "qemu:dirty-bitmap:"
)

type (
	Libnbd             struct{}
	LibnbdError        struct{}
	PreadOptargs       struct{}
	BlockStatusOptargs struct {
		Flags    uint32
		FlagsSet bool
	}
	BlockStatus64Optargs struct{}
	LibnbdExtent         struct {
		Length uint64
		Flags  uint64
	}
	ExtentCallback   func(metacontext string, offset uint64, entries []uint32, errno *int) int
	Extent64Callback func(metacontext string, offset uint64, entries []LibnbdExtent, errno *int) int
)

func (*LibnbdError) Error() string {
	return "libnbd is not in this build: it has neither VDDK imports nor incremental backups"
}

func Create() (*Libnbd, error) { return nil, &LibnbdError{} }

func (*Libnbd) AddMetaContext(string) error { return &LibnbdError{} }

func (*Libnbd) CanMetaContext(string) (bool, error) { return false, &LibnbdError{} }

func (*Libnbd) SetExportName(string) error { return &LibnbdError{} }

func (*Libnbd) ConnectUri(string) error { return &LibnbdError{} }

func (*Libnbd) ConnectUnix(string) error { return &LibnbdError{} }

func (*Libnbd) GetSize() (uint64, error) { return 0, &LibnbdError{} }

func (*Libnbd) Pread([]byte, uint64, *PreadOptargs) error { return &LibnbdError{} }

func (*Libnbd) Close() *LibnbdError { return &LibnbdError{} }

func (*Libnbd) BlockStatus(uint64, uint64, ExtentCallback, *BlockStatusOptargs) error {
	return &LibnbdError{}
}

func (*Libnbd) BlockStatus64(uint64, uint64, Extent64Callback, *BlockStatus64Optargs) error {
	return &LibnbdError{}
}
