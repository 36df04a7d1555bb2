//! One self-contained HTML page of figures and tables: no network, no scripts.

use std::fmt::Write;

/// A section of the page.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// What is shown, in a sentence or two.
    pub text: String,
    /// SVG documents with a caption each.
    pub figures: Vec<(String, String)>,
    /// Names of the table's columns; no table where empty.
    pub columns: Vec<String>,
    /// Rows of the table.
    pub rows: Vec<Vec<String>>,
    /// Commands that repeat the results.
    pub commands: Vec<String>,
}

/// Sections on one subject.
#[derive(Debug, Clone, Default)]
pub struct Chapter {
    /// Heading, and entry of the page's contents.
    pub title: String,
    /// The sections in order.
    pub sections: Vec<Section>,
}

/// The page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Title and first heading.
    pub title: String,
    /// Shown below it.
    pub introduction: String,
    /// The chapters in order; with more than one the page has a list of them at the top.
    pub chapters: Vec<Chapter>,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1c1c; --page: #fafafa; --card: #fff; --line: #d8d8d8; --soft: #666; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --page: #17181a; --card: #222427; --line: #3c3f44; --soft: #a5a5a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 0; border-bottom: 2px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 1rem 0; } a { color: inherit; }
.shown { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: flex-start; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; flex: 1 1 22rem; min-width: 0; margin: .3rem 0 .8rem; }
figure { margin: 0; flex: 1 1 20rem; min-width: 0; max-width: 32rem; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: .4rem; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { color: #555; font-size: .85rem; padding: .2rem .4rem; }
.table { overflow-x: auto; margin: .3rem 0 .8rem; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; background: var(--card); }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  font-size: .82rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
";

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Running text as HTML: what stands between backticks is code.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // a single backtick stands for itself
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let code = |(k, part): (usize, &&str)| {
        let part = escape(part);
        if k % 2 == 1 { format!("<code>{part}</code>") } else { part }
    };
    parts.iter().enumerate().map(code).collect()
}

impl Page {
    /// The page as one document.
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n<p>{1}</p>\n",
            escape(&self.title),
            prose(&self.introduction)
        );
        // writing to a String cannot fail
        if self.chapters.len() > 1 {
            page.push_str("<nav>\n");
            for (k, chapter) in self.chapters.iter().enumerate() {
                let _ = writeln!(page, "<a href=\"#chapter-{k}\">{}</a>", escape(&chapter.title));
            }
            page.push_str("</nav>\n");
        }
        for (k, chapter) in self.chapters.iter().enumerate() {
            let _ = writeln!(page, "<h2 id=\"chapter-{k}\">{}</h2>", escape(&chapter.title));
            for section in &chapter.sections {
                section.append_to(&mut page);
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        let _ = write!(page, "<footer>gradus {version}</footer>\n</body>\n</html>\n");
        page
    }
}

impl Section {
    fn append_to(&self, page: &mut String) {
        let _ = writeln!(page, "<section>\n<h3>{}</h3>\n<p>{}</p>", escape(&self.title), prose(&self.text));
        page.push_str("<div class=\"shown\">\n");
        if !self.figures.is_empty() {
            page.push_str("<div class=\"figures\">\n");
            for (svg, caption) in &self.figures {
                // a document of its own may begin with an XML declaration; inside a page it may not
                let inline = &svg[svg.find("<svg").unwrap_or(0)..];
                let _ =
                    writeln!(page, "<figure>{inline}<figcaption>{}</figcaption></figure>", prose(caption));
            }
            page.push_str("</div>\n");
        }
        if !self.columns.is_empty() {
            let cells = |tag: &str, row: &[String]| -> String {
                row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
            };
            let _ = writeln!(page, "<div class=\"table\"><table>\n<tr>{}</tr>", cells("th", &self.columns));
            for row in &self.rows {
                let _ = writeln!(page, "<tr>{}</tr>", cells("td", row));
            }
            page.push_str("</table></div>\n");
        }
        page.push_str("</div>\n");
        if !self.commands.is_empty() {
            let _ = writeln!(page, "<pre>{}</pre>", escape(&self.commands.join("\n")));
        }
        page.push_str("</section>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_nothing_points_outside() {
        let section = Section {
            title: "a < b & \"c\"".into(),
            text: "`auto` and `a < b`".into(),
            figures: vec![("<svg viewBox=\"0 0 1 1\"></svg>".into(), "x > y".into())],
            columns: vec!["<n>".into()],
            rows: vec![vec!["<script>".into()]],
            commands: vec!["gradus fit x && true".into()],
        };
        let chapter = Chapter { title: "<first>".into(), sections: vec![section] };
        let chapters = vec![chapter.clone(), chapter];
        let html = Page { title: "t".into(), introduction: "i".into(), chapters }.html();
        assert!(html.contains("href=\"#chapter-1\">&lt;first&gt;</a>"));
        assert!(html.contains("a &lt; b &amp; &quot;c&quot;") && html.contains("&lt;script&gt;"));
        assert!(html.contains("<code>auto</code> and <code>a &lt; b</code>"));
        assert_eq!(prose("one ` alone"), "one ` alone");
        assert!(!html.contains("<script") && !html.contains("http"));
    }
}
