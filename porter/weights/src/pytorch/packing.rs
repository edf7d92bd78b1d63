//! What is where in an archive, and what is said of a file that is none.

use super::{archive::Archive, blob::Blob, fault::Fault};

/// A pickle that is compressed may become this many times larger: names repeat.
const MAX_PICKLE_INFLATION: usize = 64;

/// The folder of the archive that `data.pkl` lies in, with its slash.
pub(super) fn folder(archive: &Archive<'_>) -> Result<String, Fault> {
    let mut folders: Vec<&str> = archive
        .names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|folder| folder.is_empty() || folder.find('/') == Some(folder.len() - 1))
        .collect();
    folders.sort_unstable();
    match folders.as_slice() {
        [folder] => Ok((*folder).to_owned()),
        [] => Err(Fault::Unsupported(
            "is a zip archive without data.pkl, so no checkpoint of torch.save; of a torch.export program, save the \
             state dict"
                .to_owned(),
        )),
        several => Err(Fault::Corrupt(format!("holds several data.pkl, in {}", several.join(", ")))),
    }
}

/// Refuses an archive that says it is of another byte order than little endian. Before PyTorch 2.1
/// none says so.
pub(super) fn check_byte_order(archive: &Archive<'_>, folder: &str, file: &[u8]) -> Result<(), Fault> {
    let Some(blob) = archive.blob(&format!("{folder}byteorder"))? else { return Ok(()) };
    let order = if blob.len() < 64 { blob.bytes(file)? } else { b"a long text".into() };
    if *order == *b"little" {
        return Ok(());
    }
    let order = String::from_utf8_lossy(&order);
    Err(Fault::Unsupported(format!("is {order:?}; save the checkpoint again on a little-endian machine")))
}

/// The archive's pickle.
pub(super) fn pickle(archive: &Archive<'_>, folder: &str) -> Result<Blob, Fault> {
    let blob = archive.blob(&format!("{folder}data.pkl"))?.ok_or_else(|| "is missing".to_owned())?;
    let limit = blob.range().map_or(0, |range| range.len()).saturating_mul(MAX_PICKLE_INFLATION);
    if blob.len() > limit {
        return Err(Fault::Corrupt(format!("says that it decompresses to {} bytes", blob.len())));
    }
    Ok(blob)
}

/// What is said of a file that begins as no PyTorch file does.
pub(super) fn unknown(file: &[u8]) -> Fault {
    if file.is_empty() {
        return Fault::Corrupt("the file has 0 bytes".to_owned());
    }
    if file.starts_with(b"version https://git-lfs") {
        return Fault::Corrupt("is a Git LFS pointer in place of the file; run `git lfs pull`".to_owned());
    }
    if file.get(257..262) == Some(b"ustar") {
        return Fault::Unsupported(
            "is a tar archive of PyTorch before 0.1.10; save it again with a newer version".to_owned(),
        );
    }
    let start = &file[..file.len().min(4)];
    Fault::Unsupported(format!(
        "begins with the bytes {start:02x?}; PyTorch files begin as a zip archive or a pickle"
    ))
}
