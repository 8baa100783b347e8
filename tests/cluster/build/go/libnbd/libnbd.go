// Copyright (c) 2026, kubevirt.cdi contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package libnbd has the names that CDI's VDDK import compiles against. The real module is not on Go's module proxy
// and needs cgo, so this build of CDI answers every VDDK import with an error and is otherwise complete.
package libnbd

const (
	CMD_FLAG_REQ_ONE uint32 = 1 << 3
	STATE_HOLE       uint32 = 1 << 0
	STATE_ZERO       uint32 = 1 << 1
)

type (
	Libnbd             struct{}
	LibnbdError        struct{}
	PreadOptargs       struct{}
	BlockStatusOptargs struct {
		Flags    uint32
		FlagsSet bool
	}
	ExtentCallback func(metacontext string, offset uint64, entries []uint32, errno *int) int
)

func (*LibnbdError) Error() string { return "VDDK imports are not in this build of CDI" }

func Create() (*Libnbd, error) { return nil, &LibnbdError{} }

func (*Libnbd) AddMetaContext(string) error { return &LibnbdError{} }

func (*Libnbd) ConnectUri(string) error { return &LibnbdError{} }

func (*Libnbd) GetSize() (uint64, error) { return 0, &LibnbdError{} }

func (*Libnbd) Pread([]byte, uint64, *PreadOptargs) error { return &LibnbdError{} }

func (*Libnbd) Close() *LibnbdError { return &LibnbdError{} }

func (*Libnbd) BlockStatus(uint64, uint64, ExtentCallback, *BlockStatusOptargs) error {
	return &LibnbdError{}
}
