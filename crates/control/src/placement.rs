//! Which partition goes where when a database gets more nodes, or fewer: as few as possible move, and
//! in the end no node has more than one more than another.

use std::collections::BTreeMap;

/// Where partitions are when a database has so many nodes; `None` if it has fewer partitions than that.
pub(crate) fn replaced(placement: &[u16], nodes: u16) -> Option<Vec<u16>> {
    if nodes == 0 || placement.len() < usize::from(nodes) {
        return None;
    }
    let (each, more) = (
        placement.len() / usize::from(nodes),
        placement.len() % usize::from(nodes),
    );
    let mut count = vec![0; usize::from(nodes)];
    for node in placement.iter().filter(|node| **node < nodes) {
        count[usize::from(*node)] += 1;
    }
    // Those that have most keep one more than others.
    let mut order: Vec<u16> = (0..nodes).collect();
    order.sort_by_key(|node| std::cmp::Reverse(count[usize::from(*node)]));
    let mut wanted = vec![each; usize::from(nodes)];
    for node in order.iter().take(more) {
        wanted[usize::from(*node)] += 1;
    }
    let mut kept = vec![0; usize::from(nodes)];
    let mut replaced = placement.to_vec();
    let mut homeless = Vec::new();
    for (partition, node) in placement.iter().enumerate() {
        let at = usize::from(*node);
        if *node < nodes && kept[at] < wanted[at] {
            kept[at] += 1;
        } else {
            homeless.push(partition);
        }
    }
    let free = (0..nodes).flat_map(|node| {
        let at = usize::from(node);
        std::iter::repeat_n(node, wanted[at] - kept[at])
    });
    for (partition, node) in homeless.into_iter().zip(free) {
        replaced[partition] = node;
    }
    Some(replaced)
}

/// What moves between two placements: from and to which node, and which partitions.
pub(crate) fn moves(before: &[u16], after: &[u16]) -> Vec<((u16, u16), Vec<u16>)> {
    let mut moves: BTreeMap<(u16, u16), Vec<u16>> = BTreeMap::new();
    for (partition, (from, to)) in (0..).zip(before.iter().zip(after)) {
        if from != to {
            moves.entry((*from, *to)).or_default().push(partition);
        }
    }
    moves.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance_nodes::first_placement;

    fn counts(placement: &[u16], nodes: u16) -> Vec<usize> {
        let of = |node| placement.iter().filter(|it| **it == node).count();
        (0..nodes).map(of).collect()
    }

    #[test]
    fn as_few_as_possible_move_and_all_nodes_have_alike() {
        for before in 2..12_u16 {
            let placement = first_placement(before.into());
            for after in 1..=(8 * before) {
                let found = replaced(&placement, after).expect("enough partitions");
                let has = counts(&found, after);
                assert_eq!(has.iter().sum::<usize>(), placement.len());
                let (least, most) = (has.iter().min(), has.iter().max());
                assert!(most.expect("some") - least.expect("some") <= 1);
                let moved = moves(&placement, &found);
                let moved: usize = moved.iter().map(|(_, partitions)| partitions.len()).sum();
                let mut had = counts(&placement, after);
                had.sort_unstable_by(|a, b| b.cmp(a));
                let nodes = usize::from(after);
                let (each, more) = (placement.len() / nodes, placement.len() % nodes);
                let kept = (0..).zip(&had);
                let kept: usize = kept
                    .map(|(at, had)| (*had).min(each + usize::from(at < more)))
                    .sum();
                assert_eq!(moved, placement.len() - kept, "{before} to {after}");
            }
            assert_eq!(replaced(&placement, 8 * before + 1), None);
        }
    }

    #[test]
    fn moves_are_told_by_node() {
        let placement = first_placement(2);
        let found = replaced(&placement, 3).expect("enough");
        assert_eq!(counts(&found, 3), [6, 5, 5]);
        let ends: Vec<_> = moves(&placement, &found)
            .into_iter()
            .map(|(ends, _)| ends)
            .collect();
        assert_eq!(ends, [(0, 2), (1, 2)]);
    }
}
