//! `porter plugin list | install NAME | info [NAME|PATH]`.

use porter_runtime::{
    ClientOptions, NamedValue, Plugin,
    plugins::{self, CATALOG, Listing, Located, PluginInfo, Source, State},
};
use serde::Serialize;

use crate::{
    args::PluginVerb,
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    table,
};

/// Does what `porter plugin ...` says; `wanted` is the global `--plugin`.
pub(crate) fn run(verb: &PluginVerb, wanted: Option<&str>, console: &Console) -> Result<Exit, Failure> {
    match verb {
        PluginVerb::List => list(console),
        PluginVerb::Install { name } => install(name, console),
        PluginVerb::Info { plugin } => info(plugin.as_deref().or(wanted), console),
    }
}

/// A plugin of the catalog in `porter plugin list`.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    about: &'static str,
    package: &'static str,
    version: &'static str,
    default: bool,
    found: Vec<Place>,
}

/// Where a plugin is.
#[derive(Serialize)]
struct Place {
    path: String,
    source: &'static str,
    version: Option<String>,
    ready: bool,
    /// Why it is not ready.
    problem: Option<String>,
}

impl Place {
    fn new(located: &Located, state: &State) -> Self {
        let problem = match state {
            State::Ready => None,
            State::Damaged(why) => Some(why.clone()),
        };
        Self {
            path: located.path.display().to_string(),
            source: source(located.source),
            version: located.version.clone(),
            ready: problem.is_none(),
            problem,
        }
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Path => "the command line",
        Source::Environment => "PJRT_PLUGIN_LIBRARY_PATH",
        Source::Porter => "Porter's plugin folder",
        Source::Python => "a Python package",
    }
}

fn list(console: &Console) -> Result<Exit, Failure> {
    let entries: Vec<Entry> =
        plugins::list()?.iter().enumerate().map(|(i, listing)| entry(i, listing)).collect();
    console.result(&entries, |entries| render_list(entries, console))?;
    Ok(Exit::Done)
}

fn entry(place: usize, listing: &Listing) -> Entry {
    let plugin = listing.plugin;
    Entry {
        name: plugin.name,
        about: plugin.about,
        package: plugin.package,
        version: plugin.version,
        default: place == 0,
        found: listing.found.iter().map(|(located, state)| Place::new(located, state)).collect(),
    }
}

fn render_list(entries: &[Entry], console: &Console) -> String {
    let rows = entries.iter().flat_map(|entry| {
        let name = if entry.default { format!("{} (default)", entry.name) } else { entry.name.to_owned() };
        let row =
            |version: &str, at: String| vec![name.clone(), version.to_owned(), entry.about.to_owned(), at];
        let found: Vec<_> = entry
            .found
            .iter()
            .map(|place| row(place.version.as_deref().unwrap_or("?"), at(place, console)))
            .collect();
        let absent = || row(entry.version, console.paint("not installed", Tone::Dim));
        if found.is_empty() { vec![absent()] } else { found }
    });
    table::render(&["NAME", "VERSION", "WHAT", "WHERE"], rows, &[])
}

fn at(place: &Place, console: &Console) -> String {
    match &place.problem {
        Some(problem) => console.paint(&format!("damaged: {}", printable(problem)), Tone::Bad),
        None => format!("{} ({})", printable(&place.path), place.source),
    }
}

fn install(name: &str, console: &Console) -> Result<Exit, Failure> {
    let Some(plugin) = plugins::known(name) else {
        let names: Vec<&str> = CATALOG.iter().map(|plugin| plugin.name).collect();
        let message = format!("no plugin is named {name:?}\nexpected: one of {}", names.join(", "));
        return Err(Failure::new(Exit::Usage, message));
    };
    let located = plugins::install(plugin, &mut |text| console.note(text))?;
    console.result(&Place::new(&located, &State::Ready), |place| {
        format!("{} {} is installed: {}", plugin.name, plugin.version, printable(&place.path))
    })?;
    Ok(Exit::Done)
}

/// A plugin in `porter plugin info`.
#[derive(Serialize)]
struct Description {
    #[serde(flatten)]
    place: Place,
    pjrt_api: String,
    stablehlo: Option<String>,
    stablehlo_minimum: Option<String>,
    extensions: Vec<String>,
    attributes: serde_json::Map<String, serde_json::Value>,
    platform: Option<String>,
    platform_version: Option<String>,
    devices: Vec<DeviceEntry>,
    /// Why there are no devices.
    client_error: Option<String>,
}

#[derive(Serialize)]
struct DeviceEntry {
    id: i32,
    process: i32,
    kind: String,
    text: String,
}

fn info(wanted: Option<&str>, console: &Console) -> Result<Exit, Failure> {
    let located = plugins::ensure(wanted, &mut |text| console.note(text))?;
    let plugin = Plugin::load(&located.path)?;
    let info = PluginInfo::read(&plugin, &ClientOptions::default());
    console.result(&describe(&located, &info), render_info)?;
    Ok(Exit::Done)
}

fn describe(located: &Located, info: &PluginInfo) -> Description {
    let (major, minor) = info.api_version;
    let client = info.client.as_ref();
    let devices = client.map(|client| client.devices.as_slice()).unwrap_or_default();
    Description {
        place: Place::new(located, &State::Ready),
        pjrt_api: format!("{major}.{minor}"),
        stablehlo: info.stablehlo_current.clone(),
        stablehlo_minimum: info.stablehlo_minimum.clone(),
        extensions: info.extensions.iter().map(ToString::to_string).collect(),
        attributes: info.attributes.iter().map(attribute).collect(),
        platform: client.ok().map(|client| client.platform.clone()),
        platform_version: client.ok().map(|client| client.version.clone()),
        devices: devices
            .iter()
            .map(|d| DeviceEntry { id: d.id, process: d.process, kind: d.kind.clone(), text: d.text.clone() })
            .collect(),
        client_error: client.err().map(ToString::to_string),
    }
}

fn attribute(named: &NamedValue) -> (String, serde_json::Value) {
    (named.name.clone(), named.value.to_string().into())
}

fn render_info(description: &Description) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not said".to_owned());
    let mut lines = vec![
        ("plugin", format!("{} ({})", description.place.path, description.place.source)),
        ("version", known(&description.place.version)),
        ("PJRT API", description.pjrt_api.clone()),
        (
            "StableHLO",
            format!("{} back to {}", known(&description.stablehlo), known(&description.stablehlo_minimum)),
        ),
        ("extensions", description.extensions.join(", ")),
    ];
    match &description.client_error {
        Some(error) => lines.push(("devices", format!("none: {error}"))),
        None => lines.push(("platform", known(&description.platform))),
    }
    lines.extend(
        description
            .devices
            .iter()
            .map(|d| ("device", format!("{} {} (process {})", d.id, d.kind, d.process))),
    );
    lines
        .iter()
        .map(|(name, value)| format!("{name:<11} {}", printable(value)))
        .collect::<Vec<_>>()
        .join("\n")
}
