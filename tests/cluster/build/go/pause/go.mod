module kubevirt.cdi/tests/pause

go 1.24.0
