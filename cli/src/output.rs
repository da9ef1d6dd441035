//! What commands write to standard output.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::process;

/// As `println!`, for a reader who may have left.
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `print!`, for a reader who may have left.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::write(format_args!($($text)*)) };
}

pub(crate) use {out, outln};

/// Writes text. Where nobody reads on (`millrace query … | head`) it is dropped, and the command does what it has to do; where it can't be kept (a full disk) the
/// process ends with an error.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    let mut output = io::stdout().lock();
    match output.write_fmt(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            // With nobody to read it the exit code is what is left.
            writeln!(io::stderr(), "error: the output can't be written: {error}").ok();
            process::exit(1);
        }
        _ => {}
    }
}
