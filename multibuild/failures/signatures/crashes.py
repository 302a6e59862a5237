"""What emulators, kernels, shells, compilers and language runtimes print of a crash, of memory and of disk space."""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

_ENDED = r"(?:\bexit(?:ed)?(?: with)?(?: (?:code|status))?|\berrno|\berror code)(?:: | |: ?\(| \()"
"""How the runners of commands (npm, yarn, task, Python) begin to say the exit code of one."""

# fmt: off
EMULATOR: tuple[Signature, ...] = (
    Signature(tool="QEMU", name="qemu-illegal-instruction", word="qemu: uncaught target signal 4 ", source="multiarch#99; linux-user/signal.c"),
    Signature(tool="QEMU", name="qemu-crash", word="qemu: uncaught target signal", source="binfmt#215, buildx#314; linux-user/signal.c"),
    Signature(tool="QEMU", name="qemu-crash", word="qemu internal", pattern=r"QEMU internal SIG(?:SEGV|ILL|BUS|ABRT)", source="linux-user/signal.c, QEMU 8 and newer"),
    Signature(tool="QEMU", name="qemu-crash", word="tcg/", pattern=r"\btcg/.{0,200}(?:assertion|should not be reached|tcg fatal error)", source="accel/tcg, tcg: g_assert, tcg_abort"),
    Signature(tool="QEMU", name="qemu-crash", word="reserve|find", pattern=r"qemu\S{0,120}: Unable to (?:reserve|find) .{0,100}guest", source="linux-user/elfload.c"),
    Signature(tool="QEMU", name="qemu-crash", word="unhandled cpu exception", pattern=r"qemu\S{0,120}: unhandled CPU exception", source="linux-user/*/cpu_loop.c"),
    Signature(tool="glibc", name="qemu-illegal-instruction", word="fatal glibc error", pattern=r"Fatal glibc error: (?:This )?CPU (?:does not support|lacks)", source="glibc sysdeps/*/dl-get-cpu-features.c: x86-64-v2 and newer, POWER9, z14"),
    Signature(tool="Rosetta", name="foreign-binary", word="rosetta error: failed to open elf", source="Apple Rosetta in Docker Desktop: docker/for-mac#6773"),
    Signature(tool="Rosetta", name="qemu-crash", word="rosetta error:", source="Apple Rosetta in Docker Desktop: docker/for-mac#7006"),
    Signature(tool="QEMU", name="foreign-binary", word="could not open", pattern=r"qemu-\S{1,120}: Could not open '/\S{1,120}'", source="linux-user/elfload.c: the loader of a program of another architecture"),
)

SPACE: tuple[Signature, ...] = (
    # ENOSPC of inotify is about watches, not about a disk.
    Signature(tool="kernel", name="no-space", word="no space left on device", pattern=r"no space left on device(?!.{0,60}watch)", source="ENOSPC"),
    Signature(tool="kernel", name="no-space", word="disk quota exceeded", source="EDQUOT"),
    Signature(tool="apt", name="no-space", word="have enough free space in", source="apt-private/private-install.cc"),
    Signature(tool="rpm", name="no-space", word="needed on the / filesystem", source="rpm lib/rpmps.c: installing package … needs … on the / filesystem"),
    Signature(tool="dnf", name="no-space", word="more space needed", pattern=r"At least \d{1,9}\w{1,60} more space needed", source="dnf base.py", weight="consequence"),
)

FORMAT: tuple[Signature, ...] = (
    Signature(tool="runc", name="exec-format", word="exec format error", pattern=r"^(?:\S{1,120} )?exec \S{1,120}: exec format error|exec container process .{0,300}exec format error|exec user process caused:? \"?exec format error", source="buildkit#2437: no handler for the binary"),
    Signature(tool="shell", name="foreign-binary", word="exec format error", source="ENOEXEC: bash, Go, Python, Rust"),
    Signature(tool="shell", name="foreign-binary", word="cannot execute binary file", source="bash execute_cmd.c"),
    Signature(tool="runc", name="no-such-program", word="no such file", pattern=r"^exec \S{1,120}: no such file or directory|exec user process caused:? \"?no such file", source="docker/docs#14140"),
)

MEMORY: tuple[Signature, ...] = (
    Signature(tool="jemalloc", name="step-failed", word="unsupported system page size", source="jemalloc pages.c: built for pages of another size; then allocations fail"),
    Signature(tool="node", name="heap-limit", word="javascript heap out of memory", source="V8 src/api: FatalProcessOutOfMemory"),
    Signature(tool="JVM", name="heap-limit", word="outofmemoryerror", pattern=r"OutOfMemoryError: (?:Java heap space|GC overhead|Metaspace|PermGen)", source="openjdk hotspot gc_interface"),
    Signature(tool="PHP", name="heap-limit", word="allowed memory size of", source="php Zend/zend_alloc.c"),
    Signature(tool="gcc", name="out-of-memory", word="killed signal terminated program", source="gcc driver: gcc.cc"),
    Signature(tool="gcc", name="out-of-memory", word="internal compiler error: killed", source="gcc driver before 8: gcc.c"),
    Signature(tool="gcc", name="out-of-memory", word="terminated with signal 9", source="collect2"),
    Signature(tool="gcc", name="out-of-memory", word="virtual memory exhausted", source="libiberty xmalloc.c"),
    Signature(tool="gcc", name="out-of-memory", word="out of memory allocating", source="libiberty xmalloc.c"),
    Signature(tool="clang", name="out-of-memory", word="llvm error: out of memory", source="llvm ErrorHandling.cpp"),
    Signature(tool="clang", name="out-of-memory", word="unable to execute command: killed", source="clang Driver/Job"),
    Signature(tool="rustc", name="out-of-memory", word="sigkill", pattern=r"signal: 9, SIGKILL", source="Rust std ExitStatus"),
    Signature(tool="rustc", name="out-of-memory", word="memory allocation of", pattern=r"memory allocation of \d{1,20} bytes failed", source="Rust std alloc.rs"),
    Signature(tool="Go", name="out-of-memory", word="signal: killed", pattern=r"(?:compile|link|asm|cgo|vet|go|exit status \d{1,9}|cc1(?:plus)?)\S{0,120}: signal: killed", source="Go os/exec: cmd/go/internal/work"),
    Signature(tool="Go", name="out-of-memory", word="fatal error: runtime: out of memory", source="Go runtime/malloc.go"),
    Signature(tool="Go", name="out-of-memory", word="runtime: cannot allocate memory", source="Go runtime/mem_linux.go"),
    Signature(tool="make", name="out-of-memory", word="killed|error 137", pattern=r"make(?:\[\d{1,9}\])?: \*\*\* \[.{1,400}\] (?:Killed|Error 137)", source="GNU make job.c"),
    Signature(tool="ninja", name="out-of-memory", word="subcommand failed", pattern=r"^(?:FAILED: )?(?:ninja: )?.{0,200}subcommand failed.{0,100} killed", source="ninja build.cc"),
    Signature(tool="shell", name="out-of-memory", word="killed", pattern=r"^(?:/\S{1,120}: (?:line \d{1,9}: |\d{1,9}: )?)?(?:\s{0,20}\d{1,9} )?Killed(?:\s{2,}.{1,400})?$", source="dash, bash: SIGKILL of a child", weight="last"),
    Signature(tool="C++", name="out-of-memory", word="bad_alloc", pattern=r"std::bad_alloc", source="libstdc++"),
    Signature(tool="JVM", name="out-of-memory", word="insufficient memory for the java runtime", source="openjdk hotspot os.cpp"),
    Signature(tool="JVM", name="out-of-memory", word="could not reserve enough space", source="openjdk hotspot: object heap, code cache"),
    Signature(tool="JVM", name="out-of-memory", word="unable to create native thread", source="openjdk hotspot"),
    Signature(tool="Gradle", name="out-of-memory", word="daemon disappeared unexpectedly", source="gradle launcher DaemonDisappearedException"),
    Signature(tool="react-scripts", name="out-of-memory", word="process exited too early", source="create-react-app scripts/build.js"),
    Signature(tool="npm", name="out-of-memory", word="sigkill", pattern=r"(?:npm (?:error|ERR!) |\b)signal:? \"?SIGKILL|(?:ELIFECYCLE.{0,100}|Command failed with) SIGKILL", source="npm @npmcli/promise-spawn, yarn, execa, Next.js"),
    Signature(tool="any program", name="out-of-memory", word="137", pattern=_ENDED + r"137\b", source="npm, yarn, task, Python subprocess: 128+9", weight="last"),
    Signature(tool="JVM", name="out-of-memory", word="os::commit_memory", pattern=r"os::commit_memory\(.{1,80}\) failed", source="openjdk hotspot os_linux.cpp"),
    Signature(tool="node", name="out-of-memory", word="enomem", pattern=r"(?:spawn|fork|read|mmap|open) ENOMEM|ENOMEM: not enough memory", source="libuv"),
    Signature(tool="node", name="out-of-memory", word="terminated due to reaching memory limit", source="node ERR_WORKER_OUT_OF_MEMORY"),
    Signature(tool="git", name="out-of-memory", word="died of signal", pattern=r"died of signal 9\b", source="git run-command.c"),
    Signature(tool="GHC", name="out-of-memory", word="overflow|exhausted", pattern=r"ghc\S{0,120}: .{0,40}heap overflow|heap exhausted", source="ghc rts/RtsUtils.c", weight="last"),
    Signature(tool="Python", name="out-of-memory", word="memoryerror", pattern=r"^MemoryError\b", source="CPython", weight="last"),
    Signature(tool="kernel", name="out-of-memory", word="cannot allocate memory", source="ENOMEM"),
)

CRASHES: tuple[Signature, ...] = (
    # The class of these under emulation is QEMU's: its crashes look like the program's own.
    Signature(tool="gcc", name="crash", word="internal compiler error", source="gcc diagnostic.cc: a signal in it, or an inconsistency"),
    Signature(tool="gcc", name="crash", word="terminated with signal", pattern=r"terminated with signal (?:4|6|7|8|11) ", source="collect2"),
    Signature(tool="gcc", name="crash", word="signal terminated program", source="gcc driver: gcc.cc"),
    Signature(tool="clang", name="crash", word="failed due to signal", source="clang Driver.cpp"),
    Signature(tool="clang", name="crash", word="unable to execute command: ", pattern=r"unable to execute command: (?:Segmentation|Aborted|Illegal|Bus|Trace)", source="clang Driver/Job"),
    Signature(tool="clang", name="crash", word="submit a bug report to", pattern=r"PLEASE submit a bug report to", source="llvm PrettyStackTrace"),
    Signature(tool="clang", name="crash", word="frontend command failed", pattern=r"frontend command failed with exit code (?:13[2-6]|139)\b", source="clang Driver.cpp"),
    Signature(tool="rustc", name="crash", word="rustc interrupted by sig", source="rustc_driver_impl signal_handler"),
    Signature(tool="rustc", name="crash", word="the compiler unexpectedly panicked", source="rustc_driver_impl"),
    Signature(tool="Rust", name="crash", word="signal: ", pattern=r"\(signal: (?:4|5|6|7|8|11), SIG\w{2,6}: ", source="Rust std ExitStatus"),
    Signature(tool="JVM", name="crash", word="a fatal error has been detected by the java", source="openjdk hotspot vmError.cpp"),
    Signature(tool="JVM", name="crash", word="error report file with more information", source="openjdk hotspot vmError.cpp: hs_err"),
    Signature(tool="JVM", name="crash", word="sigsegv|sigbus|sigill|sigfpe", pattern=r"^#\s{1,20}SIG(?:SEGV|BUS|ILL|FPE) \(0x", source="openjdk hotspot vmError.cpp"),
    Signature(tool="JVM", name="crash", word="forked vm terminated without", source="Maven Surefire ForkStarter"),
    Signature(tool="Go", name="crash", word="unexpected signal", pattern=r"fatal error: unexpected signal during runtime execution", source="Go runtime/signal_unix.go"),
    Signature(tool="Go", name="crash", word="fatal: morestack on g0", source="Go runtime/stubs"),
    Signature(tool="Go", name="crash", word="sigsegv|sigill|sigbus|sigtrap", pattern=r"^SIG(?:SEGV: segmentation|ILL: illegal|BUS: bus|TRAP: trace)", source="Go runtime/signal_unix.go: a signal outside of Go's own code"),
    Signature(tool="Go", name="crash", word="fatal error|lfstack", pattern=r"fatal error: (?:found bad pointer in Go heap|bad sweepgen|bad g->status|runtime·|lfstack\.push|workbuf is|unlock of unlocked lock|taggedPointerPack|invalid runtime symbol table|unknown caller pc|unexpected return pc|stack growth after fork)|lfstack\.push invalid packing", source="Go runtime: mgc, lfstack"),
    Signature(tool="Go", name="crash", word="signal: ", pattern=r"\b(?:compile|link|asm|cgo|vet|cc1(?:plus)?|go)\S{0,120}: signal: (?:segmentation fault|illegal instruction|bus error|aborted)", source="Go os/exec: cmd/go/internal/work"),
    Signature(tool="node", name="crash", word="# fatal error in", source="V8 base/logging.cc"),
    Signature(tool="npm", name="crash", word="sigsegv|sigill|sigbus|sigabrt|sigtrap", pattern=r"\bsignal:? \"?SIG(?:SEGV|ILL|BUS|ABRT|TRAP)\b(?!:)", source="npm @npmcli/promise-spawn, yarn, execa, Next.js"),
    Signature(tool="any program", name="crash", word="132|133|134|135|136|139", pattern=_ENDED + r"(?:13[2-6]|139)\b", source="npm, yarn, task, Python subprocess: 128+n", weight="last"),
    Signature(tool="git", name="crash", word="died of signal", pattern=r"died of signal (?:4|5|6|7|8|11)\b", source="git run-command.c"),
    Signature(tool="Python", name="crash", word="fatal python error", pattern=r"Fatal Python error: (?:Segmentation fault|Illegal instruction|Bus error|Aborted)", source="CPython faulthandler"),
    Signature(tool="Python", name="crash", word="signals.sig", pattern=r"died with <Signals\.SIG(?:SEGV|ILL|BUS|ABRT|FPE|TRAP)", source="CPython subprocess.CalledProcessError"),
    Signature(tool=".NET", name="crash", word="internal clr error", source="dotnet/runtime eepolicy.cpp"),
    Signature(tool=".NET", name="crash", word="accessviolationexception", pattern=r"^(?:Fatal error\. )?System\.AccessViolationException", source="dotnet/runtime eepolicy.cpp"),
    Signature(tool=".NET", name="crash", word="failed to create coreclr", source="dotnet/runtime hostpolicy; docker under QEMU"),
    Signature(tool="MSBuild", name="crash", word="exited with code 13", pattern=r"error MSB\d{4}: .{0,400}exited with code (?:13[2-6]|139)\b", source="MSBuild Exec task"),
    Signature(tool="GHC", name="crash", word="ghc: panic!", source="ghc GHC.Utils.Panic"),
    Signature(tool="GHC", name="crash", word="internal error: ", pattern=r"^\S{0,120}ghc\S{0,120}: internal error: ", source="ghc rts/RtsMessages.c"),
    Signature(tool="Erlang", name="crash", word="segmentation fault", pattern=r"(?:erl|beam\.smp|erlexec|escript)\b.{0,100} segmentation fault", source="erts under QEMU's user mode"),
    Signature(tool="ruby", name="crash", word="[bug]", pattern=r"\[BUG\] (?:Segmentation fault|Illegal instruction|Bus Error)", source="ruby error.c"),
    Signature(tool="dpkg", name="crash", word="exit status 13", pattern=r"subprocess returned error exit status (?:13[2-6]|139)\b", source="dpkg: buildx#314"),
    Signature(tool="apk", name="crash", word="script exited with error 13", pattern=r"script exited with error (?:13[2-6]|139)\b", source="apk-tools src/database.c"),
    Signature(tool="dpkg", name="crash", word="killed by signal", pattern=r"subprocess was killed by signal \((?:Segmentation|Aborted|Illegal|Bus)", source="dpkg subproc.c"),
    Signature(tool="apt", name="crash", word="received", pattern=r"Sub-process .{1,200} received (?:a segmentation fault|signal (?:4|6|7|8|11)\b)", source="apt-pkg/contrib/fileutl.cc"),
    Signature(tool="apt", name="crash", word="has died unexpectedly", pattern=r"Method \S{1,120} has died unexpectedly", source="apt-pkg/acquire-worker.cc"),
    Signature(tool="rpm", name="crash", word="signal 11", pattern=r"scriptlet failed, signal 11", source="rpm lib/rpmscript.c"),
    Signature(tool="make", name="crash", word="segmentation|illegal|bus|aborted|breakpoint", pattern=r"make(?:\[\d{1,9}\])?: \*\*\* \[.{1,400}\] (?:Segmentation fault|Illegal instruction|Bus error|Aborted|Trace/breakpoint trap)", source="GNU make job.c"),
    Signature(tool="make", name="crash", word="error 132|error 133|error 134|error 135|error 136|error 139", pattern=r"make(?:\[\d{1,9}\])?: \*\*\* \[.{1,400}\] Error (?:13[2-6]|139)\b", source="GNU make job.c"),
    Signature(tool="cmake", name="crash", word="segfault", pattern=r"\*\*\*Exception: SegFault", source="ctest", weight="last"),
    Signature(tool="shell", name="crash", word="segmentation fault", pattern=r"^(?:.{0,300}[: ])?Segmentation fault(?: \(core dumped\))?(?:\s{2,}.{1,400})?$", source="bash, dash: SIGSEGV of a child", weight="last"),
    Signature(tool="shell", name="crash", word="core dumped", pattern=r"^(?:.{0,300}[: ])?(?:Illegal instruction|Bus error|Aborted|Floating point exception|Trace/breakpoint trap) *\(core dumped\)", source="bash, dash: a signal of a child", weight="last"),
    Signature(tool="shell", name="crash", word="illegal instruction", pattern=r"^(?:.{0,300}[: ])?Illegal instruction(?:\s{2,}.{1,400})?$", source="bash, dash: SIGILL of a child", weight="last"),
    Signature(tool="kernel", name="large-inodes", word="value too large for defined data type", source="EOVERFLOW of a 32-bit readdir or stat: rust-lang/cargo#8719, docker/buildx#395"),
)
# fmt: on
