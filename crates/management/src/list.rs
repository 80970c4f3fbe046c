//! Lists: the default order, `sort`, `columns` and pages, as RabbitMQ has them.

use std::cmp::Ordering;

use regex::RegexBuilder;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, REGEX_BYTES};
use crate::request::Request;

/// A list's answer. Its items come in their default order.
pub(crate) fn list(request: &Request<'_>, mut items: Vec<Value>) -> Result<Value, ApiError> {
    if let Some(key) = request.option("sort").filter(|key| !key.is_empty()) {
        items.sort_by(|left, right| compare(field(left, key), field(right, key)));
        if request.flag("sort_reverse") {
            items.reverse();
        }
    }
    let columns = columns(request);
    let Some(page) = request.option("page") else {
        return Ok(items.into_iter().map(|item| project(item, &columns)).collect::<Vec<_>>().into());
    };
    let (page, page_size) = page_numbers(page, request.option("page_size"))?;
    let total_count = items.len();
    let items = filter_by_name(request, items)?;
    let filtered_count = items.len();
    let start = (page - 1).saturating_mul(page_size);
    if page > 1 && start >= filtered_count {
        return Err(ApiError::BadRequest {
            error: "page_out_of_range",
            reason: format!("Page out of range, page: {page} page size: {page_size}, len: {filtered_count}")
                .into(),
        });
    }
    let items: Vec<Value> =
        items.into_iter().skip(start).take(page_size).map(|item| project(item, &columns)).collect();
    Ok(json!({
        "total_count": total_count,
        "filtered_count": filtered_count,
        "item_count": items.len(),
        "page": page,
        "page_size": page_size,
        "page_count": filtered_count.div_ceil(page_size),
        "items": items,
    }))
}

/// One object's answer, with `columns` applied.
pub(crate) fn single(request: &Request<'_>, item: impl Into<Value>) -> Value {
    project(item.into(), &columns(request))
}

fn columns<'r>(request: &'r Request<'_>) -> Vec<&'r str> {
    request
        .option("columns")
        .map(|text| text.split(',').filter(|c| !c.is_empty()).collect())
        .unwrap_or_default()
}

fn page_numbers(page: &str, page_size: Option<&str>) -> Result<(usize, usize), ApiError> {
    let invalid = || ApiError::bad_request("Pagination parameters are invalid");
    let page: usize = page.parse().map_err(|_| invalid())?;
    let size: Option<usize> = page_size.map(str::parse).transpose().map_err(|_| invalid())?;
    let chosen = size.unwrap_or(PAGE_ITEMS_DEFAULT);
    if page == 0 || chosen == 0 || chosen > PAGE_ITEMS_MAX {
        let size = size.map_or_else(|| "undefined".to_owned(), |size| size.to_string());
        return Err(ApiError::BadRequest {
            error: "invalid_pagination_parameters",
            reason: format!("Invalid pagination parameters: page number {page}, page size {size}").into(),
        });
    }
    Ok((page, chosen))
}

fn filter_by_name(request: &Request<'_>, items: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    let Some(name) = request.option("name").filter(|name| !name.is_empty()) else {
        return Ok(items);
    };
    let name_of = |item: &Value| item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !request.flag("use_regex") {
        let wanted = name.to_lowercase();
        return Ok(items.into_iter().filter(|item| name_of(item).to_lowercase().contains(&wanted)).collect());
    }
    let pattern = RegexBuilder::new(name)
        .case_insensitive(true)
        .size_limit(REGEX_BYTES)
        .build()
        .map_err(|_| ApiError::bad_request("Pagination parameters are invalid"))?;
    Ok(items.into_iter().filter(|item| pattern.is_match(&name_of(item))).collect())
}

/// A field of an object; dots lead into objects, unless the whole text is a field's name itself.
fn field<'v>(item: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(found) = item.get(path) {
        return Some(found);
    }
    let (key, rest) = path.split_once('.')?;
    field(item.get(key)?, rest)
}

/// Missing before present; numbers by value; text by its bytes; anything else by its written form.
fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => match (left.as_i128(), right.as_i128()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().unwrap_or_default().total_cmp(&right.as_f64().unwrap_or_default()),
        },
        (Some(Value::String(left)), Some(Value::String(right))) => left.cmp(right),
        (Some(left), Some(right)) => left.to_string().cmp(&right.to_string()),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

fn project(item: Value, columns: &[&str]) -> Value {
    if columns.is_empty() {
        return item;
    }
    let mut chosen = Map::new();
    for column in columns {
        if let Some(value) = item.get(column) {
            chosen.insert((*column).to_owned(), value.clone());
        } else if let Some(value) = field(&item, column) {
            insert_at(&mut chosen, column, value.clone());
        }
    }
    Value::Object(chosen)
}

fn insert_at(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let inner = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert_at(inner, rest, value);
            }
        }
    }
}
