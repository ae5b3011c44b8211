//! Filters in Rust that the prelude builds on: Go's number and JSON form, and joins that must not be quadratic.

use jaq_core::native::Fun;
use jaq_core::native::{Filter, bome, run, unary, v};
use jaq_core::{DataT, Error, RunPtr, ValT as _};
use jaq_json::{Num, Rc, Val};

use super::value::{self, kind};

type Result<T> = std::result::Result<T, Error<Val>>;

/// The native filters, all named `ghmesh_…`.
pub(super) fn natives<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Fun<D>> {
    filters().into_vec().into_iter().map(run)
}

fn filters<D: for<'a> DataT<V<'a> = Val>>() -> Box<[Filter<RunPtr<D>>]> {
    Box::new([
        ("ghmesh_tojson", v(0), |cv| bome(value::json(&cv.1).map(Val::utf8_str).map_err(Error::str))),
        ("ghmesh_csv", v(0), |cv| bome(row(&cv.1, "csv", ",", csv_cell))),
        ("ghmesh_tsv", v(0), |cv| bome(row(&cv.1, "tsv", "\t", tsv_cell))),
        ("ghmesh_delpaths", v(1), |cv| unary(cv, |value, paths| delete_paths(value, &paths))),
        ("ghmesh_setpath", v(2), |mut cv| {
            let (value, path) = (cv.0.pop_var(), cv.0.pop_var());
            bome(elements(&path, "setpath").and_then(|path| set_path(cv.1, path, value)))
        }),
        ("ghmesh_join", v(1), |cv| unary(cv, |list, separator| join(&list, &separator))),
    ])
}

fn elements<'a>(list: &'a Val, what: &str) -> Result<&'a [Val]> {
    match list {
        Val::Arr(list) => Ok(list),
        other => Err(Error::str(format_args!("{what} cannot be applied to: {}", kind(other)))),
    }
}

fn row(list: &Val, what: &str, separator: &str, cell: fn(&str) -> String) -> Result<Val> {
    let cells = elements(list, what)?.iter().map(|item| match item {
        Val::TStr(_) | Val::BStr(_) => Ok(cell(&value::text(item))),
        Val::Null => Ok(String::new()),
        Val::Bool(_) | Val::Num(_) => value::json(item).map_err(Error::str),
        Val::Arr(_) | Val::Obj(_) => Err(Error::str(format_args!("cannot be formatted as {what}: {}", kind(item)))),
    });
    Ok(Val::utf8_str(cells.collect::<Result<Vec<_>>>()?.join(separator)))
}

fn csv_cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn tsv_cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

/// jq's `join`: null is empty, numbers and booleans are written out.
fn join(list: &Val, separator: &Val) -> Result<Val> {
    let separator = match separator {
        Val::TStr(_) | Val::BStr(_) => value::text(separator),
        Val::Null if elements(list, "join")?.len() < 2 => String::new(),
        other => return Err(Error::str(format_args!("join needs a string, got {}", kind(other)))),
    };
    let parts = elements(list, "join")?.iter().map(|item| match item {
        Val::Null => Ok(String::new()),
        Val::TStr(_) | Val::BStr(_) => Ok(value::text(item)),
        Val::Bool(_) | Val::Num(_) => value::json(item).map_err(Error::str),
        Val::Arr(_) | Val::Obj(_) => Err(Error::str(format_args!("join cannot be applied to: {}", kind(item)))),
    });
    Ok(Val::utf8_str(parts.collect::<Result<Vec<_>>>()?.join(&separator)))
}

/// jq's `setpath`: what is missing on the way is made.
fn set_path(value: Val, path: &[Val], new: Val) -> Result<Val> {
    let Some((first, rest)) = path.split_first() else { return Ok(new) };
    let inner = if matches!(value, Val::Null) { Val::Null } else { value.clone().index(first)? };
    let inner = set_path(inner, rest, new)?;
    match (value, first) {
        (Val::Null, Val::TStr(_)) => Ok(Val::obj(std::iter::once((first.clone(), inner)).collect())),
        (Val::Obj(mut object), Val::TStr(_)) => {
            Rc::make_mut(&mut object).insert(first.clone(), inner);
            Ok(Val::Obj(object))
        }
        (Val::Null, Val::Num(at)) => set_element(Vec::new(), at, inner),
        (Val::Arr(list), Val::Num(at)) => set_element(list.to_vec(), at, inner),
        (other, _) => Err(Error::index(other, first.clone())),
    }
}

/// Longest list that a path may make: a single large index must not take all memory.
const LONGEST_LIST: usize = 1 << 24;

fn set_element(mut list: Vec<Val>, at: &Num, new: Val) -> Result<Val> {
    let at = position(at, list.len()).filter(|at| *at < LONGEST_LIST);
    let at = at.ok_or_else(|| Error::str("the array index is out of range"))?;
    if at >= list.len() {
        list.resize(at + 1, Val::Null);
    }
    list[at] = new;
    Ok(Val::Arr(list.into()))
}

/// An index from the start, or from the end when negative.
fn position(at: &Num, len: usize) -> Option<usize> {
    let at = at.as_isize()?;
    if at < 0 { len.checked_sub(at.unsigned_abs()) } else { usize::try_from(at).ok() }
}

/// jq's `delpaths`: the last first, so that positions stay what they were.
fn delete_paths(value: Val, paths: &Val) -> Result<Val> {
    let mut paths = elements(paths, "delpaths")?.to_vec();
    paths.sort_unstable_by(|left, right| right.cmp(left));
    paths.dedup();
    paths.iter().try_fold(value, |value, path| delete_path(value, elements(path, "delpaths")?))
}

fn delete_path(value: Val, path: &[Val]) -> Result<Val> {
    match (path, value) {
        ([], _) | (_, Val::Null) => Ok(Val::Null),
        ([last], Val::Obj(mut object)) => {
            Rc::make_mut(&mut object).shift_remove(last);
            Ok(Val::Obj(object))
        }
        ([Val::Num(at)], Val::Arr(list)) => {
            let at = position(at, list.len());
            let kept = list.iter().enumerate().filter(|(index, _)| Some(*index) != at);
            Ok(Val::Arr(kept.map(|(_, item)| item.clone()).collect::<Vec<_>>().into()))
        }
        ([last], other) => Err(Error::index(other, last.clone())),
        ([first, rest @ ..], value) => {
            let inner = value.clone().index(first)?;
            if matches!(inner, Val::Null) {
                return Ok(value);
            }
            set_path(value, std::slice::from_ref(first), delete_path(inner, rest)?)
        }
    }
}
