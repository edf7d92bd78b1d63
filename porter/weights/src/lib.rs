//! Checkpoint formats behind one faithful reader, and typed weight maps.
