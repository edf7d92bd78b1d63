//! Compiled programs, on a device or not.

use std::ptr::NonNull;

use pjrt_sys::{
    PJRT_Executable, PJRT_Executable_Destroy_Args, PJRT_Executable_Fingerprint_Args,
    PJRT_Executable_GetCompiledMemoryStats_Args, PJRT_Executable_GetCostAnalysis_Args,
    PJRT_Executable_Name_Args, PJRT_Executable_NumOutputs_Args, PJRT_Executable_OptimizedProgram_Args,
    PJRT_Executable_OutputDimensions_Args, PJRT_Executable_OutputElementTypes_Args,
    PJRT_Executable_Serialize_Args, PJRT_Executable_SizeOfGeneratedCodeInBytes_Args, PJRT_Program,
    StructSize,
};
use porter_ir::TensorType;

use crate::{
    Error, NamedValue, Plugin, Result,
    api::{Api, array, call, string},
    element_type,
};

/// A compiled program.
pub struct Executable {
    plugin: Plugin,
    raw: NonNull<PJRT_Executable>,
}

// SAFETY: the C API's executable is a C++ `PjRtExecutable`, constant after compilation; its getters
// are thread-safe and it may be destroyed on any thread.
unsafe impl Send for Executable {}
// SAFETY: as above.
unsafe impl Sync for Executable {}

/// Memory that a compiled program needs on each device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramMemory {
    /// The program's code.
    pub code: i64,
    /// All arguments.
    pub arguments: i64,
    /// All results.
    pub outputs: i64,
    /// Results that reuse the memory of donated arguments; counted in both of the above.
    pub aliased: i64,
    /// Intermediate values.
    pub temporaries: i64,
    /// The most in use at one time, as the compiler planned it; 0 where it does not say.
    pub peak: i64,
}

/// A program after the plugin's optimisations.
#[derive(Clone, Debug)]
pub struct OptimizedProgram {
    /// How it is encoded: `hlo_with_config` is a serialized `HloModuleProtoWithConfig`.
    pub format: String,
    /// The encoded program.
    pub code: Vec<u8>,
}

impl Executable {
    /// Takes over a compiled program.
    ///
    /// # Safety
    /// `raw` is an executable of `plugin` that the caller owns.
    pub(crate) unsafe fn new(plugin: Plugin, raw: NonNull<PJRT_Executable>) -> Self {
        Self { plugin, raw }
    }

    // In the functions below the executable is alive, and what the plugin returns belongs to it and
    // is copied, unless said otherwise.

    /// The module's name.
    pub fn name(&self) -> Result<String> {
        let mut args = PJRT_Executable_Name_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(self.api(), PJRT_Executable_Name, &raw mut args, "read the program's name")?;
            Ok(string(args.executable_name, args.executable_name_size))
        }
    }

    /// The types of the results on one device; `None` for types that Porter does not know.
    pub fn outputs(&self) -> Result<Vec<Option<TensorType>>> {
        let types = self.output_element_types()?;
        let shapes = self.output_shapes(types.len())?;
        let ty = |(raw, shape): (&u32, Option<Vec<usize>>)| {
            Some(TensorType::new(element_type::from_raw(*raw)?, shape?))
        };
        Ok(types.iter().zip(shapes).map(ty).collect())
    }

    fn output_element_types(&self) -> Result<Vec<pjrt_sys::PJRT_Buffer_Type>> {
        let mut args =
            PJRT_Executable_OutputElementTypes_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(self.api(), PJRT_Executable_OutputElementTypes, &raw mut args, "read the results' types")?;
            Ok(array(args.output_types, args.num_output_types).to_vec())
        }
    }

    fn output_shapes(&self, count: usize) -> Result<Vec<Option<Vec<usize>>>> {
        let doing = "read the results' shapes";
        let mut args =
            PJRT_Executable_OutputDimensions_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block. The ranks add up to the number of dimensions.
        let (ranks, dims) = unsafe {
            call!(self.api(), PJRT_Executable_OutputDimensions, &raw mut args, doing)?;
            let ranks = array(args.dim_sizes, args.num_outputs);
            (ranks, array(args.dims, ranks.iter().sum()))
        };
        if ranks.len() != count {
            let found = format!("reports {count} result types but {} shapes", ranks.len());
            return Err(Error::Misbehaved { doing: doing.into(), found });
        }
        let mut rest = dims;
        let mut next = |&rank: &usize| {
            let (shape, tail) = rest.split_at_checked(rank)?;
            rest = tail;
            shape.iter().map(|&d| usize::try_from(d).ok()).collect()
        };
        Ok(ranks.iter().map(&mut next).collect())
    }

    /// The number of results, which a plugin knows without unpacking their types.
    pub fn num_outputs(&self) -> Result<usize> {
        let mut args = PJRT_Executable_NumOutputs_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe { call!(self.api(), PJRT_Executable_NumOutputs, &raw mut args, "count the results")? };
        Ok(args.num_outputs)
    }

    /// What the program costs on one device: `flops`, `bytes accessed`, ... Some CPU plugins do not tell.
    pub fn cost(&self) -> Result<Vec<NamedValue>> {
        let mut args = PJRT_Executable_GetCostAnalysis_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(self.api(), PJRT_Executable_GetCostAnalysis, &raw mut args, "analyse the program's cost")?;
            Ok(NamedValue::copy_all(args.properties, args.num_properties))
        }
    }

    /// The memory that the program needs on one device.
    pub fn memory(&self) -> Result<ProgramMemory> {
        let mut args =
            PJRT_Executable_GetCompiledMemoryStats_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(
                self.api(),
                PJRT_Executable_GetCompiledMemoryStats,
                &raw mut args,
                "read the program's memory needs"
            )?;
        }
        Ok(ProgramMemory {
            code: args.generated_code_size_in_bytes,
            arguments: args.argument_size_in_bytes,
            outputs: args.output_size_in_bytes,
            aliased: args.alias_size_in_bytes,
            temporaries: args.temp_size_in_bytes,
            peak: args.peak_memory_in_bytes,
        })
    }

    /// The size of the generated code in bytes.
    pub fn code_size(&self) -> Result<i64> {
        let mut args =
            PJRT_Executable_SizeOfGeneratedCodeInBytes_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(
                self.api(),
                PJRT_Executable_SizeOfGeneratedCodeInBytes,
                &raw mut args,
                "read the code's size"
            )?;
        }
        Ok(args.size_in_bytes)
    }

    /// What distinguishes the program from others: bytes without further meaning.
    pub fn fingerprint(&self) -> Result<Vec<u8>> {
        let mut args = PJRT_Executable_Fingerprint_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block.
        unsafe {
            call!(self.api(), PJRT_Executable_Fingerprint, &raw mut args, "read the program's fingerprint")?;
            Ok(array(args.executable_fingerprint.cast::<u8>(), args.executable_fingerprint_size).to_vec())
        }
    }

    /// The compiled program as bytes, for the same plugin on the same kind of machine.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        let mut args = PJRT_Executable_Serialize_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: see the top of this block; the bytes live until the deleter is called.
        unsafe {
            call!(self.api(), PJRT_Executable_Serialize, &raw mut args, "serialize the program")?;
            let bytes = array(args.serialized_bytes.cast::<u8>(), args.serialized_bytes_size).to_vec();
            if let Some(delete) = args.serialized_executable_deleter {
                delete(args.serialized_executable);
            }
            Ok(bytes)
        }
    }

    /// The program after the plugin's optimisations.
    pub fn optimized(&self) -> Result<OptimizedProgram> {
        let doing = "read the optimised program";
        let mut program = PJRT_Program::sized();
        let mut args = PJRT_Executable_OptimizedProgram_Args {
            executable: self.raw(),
            program: &raw mut program,
            ..StructSize::sized()
        };
        // SAFETY: without a destination the call returns the size that it needs.
        unsafe { call!(self.api(), PJRT_Executable_OptimizedProgram, &raw mut args, doing)? };
        let mut code = vec![0_u8; program.code_size];
        program.code = code.as_mut_ptr().cast();
        args.program = &raw mut program;
        // SAFETY: `code` has the size just asked for; the format is a constant of the plugin.
        let format = unsafe {
            call!(self.api(), PJRT_Executable_OptimizedProgram, &raw mut args, doing)?;
            string(program.format, program.format_size)
        };
        code.truncate(program.code_size);
        Ok(OptimizedProgram { format, code })
    }

    fn api(&self) -> Api {
        self.plugin.api()
    }

    fn raw(&self) -> *mut PJRT_Executable {
        self.raw.as_ptr()
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        let mut args = PJRT_Executable_Destroy_Args { executable: self.raw(), ..StructSize::sized() };
        // SAFETY: `self` owns the executable and nobody uses it after this. A failure leaks it.
        drop(unsafe {
            call!(self.api(), PJRT_Executable_Destroy, &raw mut args, "destroy a compiled program")
        });
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable").field("name", &self.name().ok()).finish_non_exhaustive()
    }
}
