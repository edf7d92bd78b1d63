//! One architecture a file, built from shared blocks.
