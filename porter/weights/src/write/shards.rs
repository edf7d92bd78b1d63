//! Which tensors share a file.

/// Tensors one after another, as many to a file as fit into `limit` bytes, or one.
pub(super) fn split(sizes: &[usize], limit: Option<u64>) -> Vec<Vec<usize>> {
    let mut shards = vec![Vec::new()];
    let mut taken = 0;
    for (i, &size) in sizes.iter().enumerate() {
        let size = size as u64;
        if let (Some(limit), Some(last)) = (limit, shards.last())
            && !last.is_empty()
            && taken + size > limit
        {
            shards.push(Vec::new());
            taken = 0;
        }
        if let Some(last) = shards.last_mut() {
            last.push(i);
        }
        taken += size;
    }
    shards
}
