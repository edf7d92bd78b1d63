//! Named rewrites of programs and weight maps, each one a patch with a reason.
