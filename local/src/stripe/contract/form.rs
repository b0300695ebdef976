//! Owns the reading of bracketed parameter names: `line_items[0][price]` becomes a tree.
//!
//! The invariant: the order of sending is kept, and no name is dropped; one that does not parse stands whole at the top, where it is unknown.

/// A value or a group of named ones (an object, or an array whose names are positions or empty).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// What stands after the equals sign.
    Text(&'a str),
    /// What stands in brackets.
    Group(Vec<(&'a str, Form<'a>)>),
}

impl<'a> Form<'a> {
    /// The tree of all parameters.
    pub(super) fn parse(params: &'a [(String, String)]) -> Form<'a> {
        let mut root = Vec::new();
        for (key, value) in params {
            insert(&mut root, &segments(key), value);
        }
        Form::Group(root)
    }
}

/// `a[b][]` is `a`, `b` and an empty name.
fn segments(key: &str) -> Vec<&str> {
    let Some((name, rest)) = key.split_once('[') else { return vec![key] };
    match rest.strip_suffix(']') {
        Some(inner) if !name.is_empty() => std::iter::once(name).chain(inner.split("][")).collect(),
        _ => vec![key],
    }
}

fn insert<'a>(group: &mut Vec<(&'a str, Form<'a>)>, names: &[&'a str], value: &'a str) {
    let Some((name, rest)) = names.split_first() else { return };
    // `a[]=x&a[]=y` are two items; `a[][b]=x&a[][c]=y` are one item until a name comes again.
    let known = match (name.is_empty(), rest.first()) {
        (true, None) => None,
        (true, Some(next)) => group.len().checked_sub(1).filter(|last| !holds(group.get(*last), next)),
        (false, _) => group.iter().position(|(k, _)| k == name),
    };
    let at = known.unwrap_or_else(|| {
        group.push((name, Form::Text("")));
        group.len() - 1
    });
    let Some((_, slot)) = group.get_mut(at) else { return };
    if rest.is_empty() {
        *slot = Form::Text(value);
        return;
    }
    if let Form::Text(_) = slot {
        *slot = Form::Group(Vec::new());
    }
    if let Form::Group(inner) = slot {
        insert(inner, rest, value);
    }
}

fn holds(item: Option<&(&str, Form<'_>)>, name: &str) -> bool {
    match item {
        Some((_, Form::Group(inner))) => inner.iter().any(|(k, _)| *k == name),
        _ => true,
    }
}
