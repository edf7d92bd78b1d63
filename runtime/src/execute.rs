//! Running a loaded program.

use std::{ptr, sync::Arc};

use pjrt_sys::{
    PJRT_Buffer, PJRT_Event, PJRT_ExecuteOptions, PJRT_LoadedExecutable_Execute_Args, StructSize,
};
use porter_ir::TensorType;

use crate::{
    Buffer, Error, LoadedExecutable, Result,
    api::{call, non_null},
    buffer::Origin,
    event::Event,
};

const DOING: &str = "execute the program";

/// An argument of an execution.
#[derive(Debug)]
pub enum Arg<'a> {
    /// The program reads the buffer, which keeps its value.
    Keep(&'a Buffer),
    /// The program may reuse the buffer's memory for a result, where its signature donates this
    /// argument. The buffer is gone afterwards in any case.
    Donate(Buffer),
}

impl Arg<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Self::Keep(buffer) => buffer,
            Self::Donate(buffer) => buffer,
        }
    }
}

/// An execution that was started and may still be running.
#[derive(Debug)]
#[must_use = "`wait` returns the errors of the execution"]
pub struct Running {
    outputs: Vec<Vec<Buffer>>,
    events: Vec<Event>,
}

impl Running {
    /// The results, `[device][result]`, before they have their values. An error of the execution
    /// shows when one is waited for, downloaded or used.
    pub fn into_outputs(self) -> Vec<Vec<Buffer>> {
        self.outputs
    }

    /// Waits for every device, and gives the results, `[device][result]`.
    pub fn wait(self) -> Result<Vec<Vec<Buffer>>> {
        // Every event is waited for, so that nothing runs any more when the first error is returned.
        let ends: Vec<Result<()>> = self.events.into_iter().map(|event| event.wait(DOING)).collect();
        ends.into_iter().collect::<Result<()>>()?;
        Ok(self.outputs)
    }
}

impl LoadedExecutable {
    /// Runs a program of one device and waits for it. Count, dtype, shape and device of the
    /// arguments are checked first; every problem is reported.
    pub fn execute(&self, args: Vec<Arg<'_>>) -> Result<Vec<Buffer>> {
        let outputs = self.start(vec![args])?.wait()?;
        Ok(outputs.into_iter().flatten().collect())
    }

    /// Starts the program on its devices: `args` is `[device][argument]`, devices in the order of
    /// [`devices`](Self::devices). Checks as [`execute`](Self::execute) does.
    pub fn start(&self, args: Vec<Vec<Arg<'_>>>) -> Result<Running> {
        self.check_args(&args)?;
        let protected = self.protected(&args);
        let arguments: Vec<Vec<*mut PJRT_Buffer>> =
            args.iter().map(|device| device.iter().map(|arg| arg.buffer().raw()).collect()).collect();
        let argument_lists: Vec<*const *mut PJRT_Buffer> = arguments.iter().map(Vec::as_ptr).collect();
        let mut outputs = vec![vec![ptr::null_mut::<PJRT_Buffer>(); self.outputs.len()]; args.len()];
        let output_lists: Vec<*mut *mut PJRT_Buffer> = outputs.iter_mut().map(Vec::as_mut_ptr).collect();
        let mut events = vec![ptr::null_mut::<PJRT_Event>(); args.len()];
        let mut options = PJRT_ExecuteOptions {
            non_donatable_input_indices: protected.as_ptr(),
            num_non_donatable_input_indices: protected.len(),
            ..StructSize::sized()
        };
        let mut call = PJRT_LoadedExecutable_Execute_Args {
            executable: self.raw.raw.as_ptr(),
            options: &raw mut options,
            argument_lists: argument_lists.as_ptr(),
            num_devices: args.len(),
            num_args: self.inputs.len(),
            output_lists: output_lists.as_ptr(),
            device_complete_events: events.as_mut_ptr(),
            ..StructSize::sized()
        };
        // SAFETY: `check_args` saw that there is a list for each of the program's devices, that each
        // has the program's arguments, and that they are buffers of this client of the right type on
        // the right device; `new` saw that the program has as many results as the lists have room
        // for. All lists outlive the call. Buffers that are kept are protected from donation, and
        // those given away are owned by `args`, which ends here.
        unsafe { call!(self.client().api(), PJRT_LoadedExecutable_Execute, &raw mut call, DOING)? };
        drop(args);
        self.collect(outputs, events)
    }

    /// Wraps what an execution returned.
    fn collect(&self, outputs: Vec<Vec<*mut PJRT_Buffer>>, events: Vec<*mut PJRT_Event>) -> Result<Running> {
        let api = self.client().api();
        // SAFETY: the plugin returned these events to us.
        let events = events.into_iter().filter_map(|event| unsafe { Event::new(api, event) }).collect();
        let wrap = |(raw, ty): (*mut PJRT_Buffer, &Arc<TensorType>), device: usize| {
            let raw = non_null(raw, DOING)?;
            // SAFETY: the plugin returned this buffer to us, of the type that it reports for this result.
            Ok(unsafe { Buffer::from_output(self.client().clone(), raw, Arc::clone(ty), device) })
        };
        let outputs = outputs
            .into_iter()
            .zip(&self.devices)
            .map(|(raws, &device)| {
                raws.into_iter().zip(&self.outputs).map(|pair| wrap(pair, device)).collect()
            })
            .collect::<Result<_>>()?;
        Ok(Running { outputs, events })
    }

    /// The indices of arguments that this execution must not donate although the program would:
    /// those that are kept, and those in host memory that the plugin may only read.
    fn protected(&self, args: &[Vec<Arg<'_>>]) -> Vec<i64> {
        let protect = |arg: &Arg<'_>| match arg {
            Arg::Keep(_) => true,
            Arg::Donate(buffer) => buffer.origin() == Origin::Host,
        };
        let donated = self.donated.iter().enumerate().filter(|&(_, &donated)| donated).map(|(i, _)| i);
        donated
            .filter(|&i| args.iter().any(|device| device.get(i).is_some_and(protect)))
            .map(|i| i as i64)
            .collect()
    }

    fn check_args(&self, args: &[Vec<Arg<'_>>]) -> Result<()> {
        if args.len() != self.devices.len() {
            let problem =
                format!("it runs on {} devices, arguments for {} were given", self.devices.len(), args.len());
            return Err(Error::Arguments(vec![problem]));
        }
        let mut problems = Vec::new();
        for (list, &device) in args.iter().zip(&self.devices) {
            self.check_list(list, device, &mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Arguments(problems)) }
    }

    fn check_list(&self, list: &[Arg<'_>], device: usize, problems: &mut Vec<String>) {
        if list.len() != self.inputs.len() {
            problems.push(format!("it takes {} arguments, {} were given", self.inputs.len(), list.len()));
            return;
        }
        for (i, (arg, expected)) in list.iter().zip(&self.inputs).enumerate() {
            let buffer = arg.buffer();
            // The outputs of a program that are its next inputs share their type.
            if !Arc::ptr_eq(buffer.shared_ty(), expected) && buffer.ty() != &**expected {
                problems.push(format!("argument {i} is {}, expected {expected}", buffer.ty()));
            }
            if !buffer.client().is(self.client()) {
                problems.push(format!("argument {i} belongs to another client"));
            } else if buffer.device_index() != device {
                problems
                    .push(format!("argument {i} is on device {}, expected {device}", buffer.device_index()));
            }
        }
    }
}
