# The front door; CMakeLists.txt does the work.
#
#   make            build/crumb, build/libcrumb.a, build/libcrumb.so
#   make demo       build; train a small network in float, at 8 and 2 bits; pack, verify, run it; print the table
#   make test       every test, in the normal and in the sanitizer build
#   make test-arm   the tests of what runs packed networks, cross-compiled for Arm, under emulation
#   make bench      what it costs: training and packed networks beside the peers that are there
#   make fuzz       every fuzz target for FUZZ_SECONDS (60) seconds
#   make install    to PREFIX (/usr/local), below DESTDIR
#   make clean
#
# demo, test, test-arm and fuzz first install the Debian packages that are missing (tools/packages.txt).

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 60
GENERATOR := $(if $(shell command -v ninja),-G Ninja)

.PHONY: all demo test test-arm bench fuzz install clean packages

all: $(BUILD)/CMakeCache.txt
	cmake --build $(BUILD) --parallel $(JOBS)

$(BUILD)/CMakeCache.txt:
	cmake -S . -B $(BUILD) $(GENERATOR) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

packages:
	tools/install-packages build

demo: packages
	$(MAKE) --no-print-directory all CMAKE_FLAGS=-DCRUMB_TESTS=OFF
	tools/demo $(BUILD)

test:
	tools/install-packages build test
	cmake -S . -B $(BUILD) $(GENERATOR) -DCRUMB_TESTS=ON
	cmake --build $(BUILD) --parallel $(JOBS)
	cmake -S . -B $(BUILD)-asan $(GENERATOR) -DCRUMB_SANITIZE=ON
	cmake --build $(BUILD)-asan --parallel $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure
	ctest --test-dir $(BUILD)-asan --output-on-failure

test-arm:
	tools/install-packages build arm
	cmake -S . -B $(BUILD)-arm $(GENERATOR) -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DCRUMB_RUN_ONLY=ON
	cmake --build $(BUILD)-arm --parallel $(JOBS)
	ctest --test-dir $(BUILD)-arm --output-on-failure

bench: packages
	$(MAKE) --no-print-directory all
	tools/bench $(BUILD)
	tools/bench-run $(BUILD)

fuzz:
	tools/install-packages build fuzz
	CC=clang cmake -S . -B $(BUILD)-fuzz $(GENERATOR) -DCRUMB_FUZZ=ON -DCRUMB_TESTS=OFF -DCRUMB_OPENMP=OFF -DCRUMB_ONEDNN=OFF
	cmake --build $(BUILD)-fuzz --target fuzz --parallel $(JOBS)
	tools/fuzz $(BUILD)-fuzz $(FUZZ_SECONDS)

install: all
	cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-arm $(BUILD)-fuzz
