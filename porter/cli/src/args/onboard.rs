//! The arguments of `porter onboard`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{BUILTIN, InspectArgs, PlanArgs, PortArgs, positive};

#[derive(Debug, Args)]
pub(crate) struct OnboardArgs {
    #[command(flatten)]
    pub(crate) port: PortArgs,
    /// Leave numbers alone. If this and --reference are left out, a model is compared with Porter's own executor
    /// (`builtin`), and a graph with nothing
    #[arg(long, conflicts_with = "reference")]
    pub(crate) no_check: bool,
    /// Keep the compiler's executables, in the folder `executables` of the port
    #[arg(long)]
    pub(crate) executables: bool,
    /// Stop the compiler of a program after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = positive)]
    pub(crate) time_limit: usize,
    /// Where the page is written; OUT.html if left out
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl OnboardArgs {
    /// Where the page is written: never into the port, whose files are its own.
    pub(crate) fn page(&self) -> PathBuf {
        let beside = || {
            let mut name = self.port.output.file_name().unwrap_or_default().to_owned();
            name.push(".html");
            self.port.output.with_file_name(name)
        };
        self.html.clone().unwrap_or_else(beside)
    }

    /// What `porter inspect` is asked.
    pub(crate) fn inspect(&self) -> InspectArgs {
        InspectArgs { model: self.port.model.clone(), graph: self.port.graph.clone(), map: false }
    }

    /// What `porter plan` is asked.
    pub(crate) fn plan(&self) -> PlanArgs {
        let port = &self.port;
        PlanArgs {
            model: port.model.model.clone(),
            target: port.target.clone(),
            graph: port.graph.clone(),
            input: port.input.clone(),
            batch: port.batch,
            prompt: port.prompt.iter().copied().max(),
            prompts: None,
            context: port.context,
            objective: None,
            dtype: port.dtype,
            narrow: port.narrow.clone(),
            mesh: port.mesh.clone(),
            verify: false,
            search: None,
            drift: false,
            time_limit: self.time_limit,
            ignore_config: port.model.ignore_config.clone(),
        }
    }

    /// What `porter port` is asked, of a graph or of a model.
    pub(crate) fn port(&self, graph: bool) -> PortArgs {
        let builtin = (!graph && !self.no_check).then(|| Path::new(BUILTIN).to_owned());
        PortArgs { reference: self.port.reference.clone().or(builtin), ..self.port.clone() }
    }
}
