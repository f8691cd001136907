//! The `stead` binary; the program itself is the library beside it.

fn main() -> std::process::ExitCode {
    stead::main(std::env::args_os())
}
