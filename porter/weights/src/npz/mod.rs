//! `.npz`: a zip archive of NumPy arrays
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

mod file;
mod header;

pub use file::NpzFile;
