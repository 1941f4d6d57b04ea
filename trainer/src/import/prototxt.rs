//! Protobuf's text format, as Caffe writes its `.prototxt`: parsed into a tree of fields without a schema.

use super::Fault;

/// Deepest nesting that is followed; Caffe's own files nest four deep.
const MAX_DEPTH: usize = 64;

/// The fields between two braces, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    value: Value,
}

/// What stands behind the name of a field.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Block(Block),
    /// A number, a word (enum, true, false) or a string, without its quotes.
    Scalar(String),
}

impl Block {
    /// Reads a whole file.
    ///
    /// # Errors
    /// With the line at which the text stops making sense.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| {
            Fault::Damaged("is not a text file; a .prototxt is expected, the weights go elsewhere".into())
        })?;
        let mut parser = Parser { tokens: Tokens { rest: text, line: 1 }, ahead: None };
        let block = parser.fields(Token::End, 0)?;
        Ok(block)
    }

    /// All blocks called `name`.
    pub fn blocks<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Block> {
        self.fields.iter().filter(move |f| f.name == name).filter_map(|f| match &f.value {
            Value::Block(block) => Some(block),
            Value::Scalar(_) => None,
        })
    }

    /// The last block called `name`.
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.fields.iter().rev().filter(|f| f.name == name).find_map(|f| match &f.value {
            Value::Block(block) => Some(block),
            Value::Scalar(_) => None,
        })
    }

    /// All scalars called `name`, as text.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |f| f.name == name).filter_map(|f| match &f.value {
            Value::Scalar(text) => Some(text.as_str()),
            Value::Block(_) => None,
        })
    }

    /// The last scalar called `name`, as text (protobuf: the last one counts).
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().filter(|f| f.name == name).find_map(|f| match &f.value {
            Value::Scalar(text) => Some(text.as_str()),
            Value::Block(_) => None,
        })
    }

    /// All scalars called `name` as numbers.
    ///
    /// # Errors
    /// When one of them is something else.
    pub fn numbers<T: std::str::FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        self.texts(name)
            .map(|text| {
                text.parse().map_err(|_| format!("`{name}: {text}` is not a number of the right kind"))
            })
            .collect()
    }

    /// The last scalar called `name` as a number.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        Ok(self.numbers(name)?.pop())
    }

    /// The last scalar called `name` as true or false.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "1" | "t" | "True") => Ok(Some(true)),
            Some("false" | "0" | "f" | "False") => Ok(Some(false)),
            Some(other) => Err(format!("`{name}: {other}` is neither true nor false")),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, a number, or an enum.
    Word(String),
    /// A string, unescaped.
    Quoted(String),
    Sign(char),
    End,
}

struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl Tokens<'_> {
    fn wrong(&self, what: &str) -> Fault {
        Fault::Damaged(format!("line {}: {what}", self.line))
    }

    fn next(&mut self) -> Result<Token, Fault> {
        loop {
            let trimmed = self.rest.trim_start();
            self.line += self.rest[..self.rest.len() - trimmed.len()].matches('\n').count();
            self.rest = trimmed;
            let Some(comment) = trimmed.strip_prefix('#') else { break };
            self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
        }
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if first == '"' || first == '\'' {
            return self.quoted(first);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        if length > 0 {
            let (word, rest) = self.rest.split_at(length);
            self.rest = rest;
            return Ok(Token::Word(word.to_string()));
        }
        self.rest = &self.rest[first.len_utf8()..];
        if "{}<>[]:,;".contains(first) {
            Ok(Token::Sign(first))
        } else {
            Err(self.wrong(&format!("`{}` is not part of the text format", first.escape_default())))
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, Fault> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    _ => return Err(self.wrong("an escape in a string that is not understood")),
                },
                c if c == quote => {
                    self.rest = &self.rest[at + quote.len_utf8()..];
                    return Ok(Token::Quoted(text));
                }
                c => text.push(c),
            }
        }
        Err(self.wrong("a string without an end"))
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    ahead: Option<Token>,
}

impl Parser<'_> {
    fn take(&mut self) -> Result<Token, Fault> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.tokens.next(),
        }
    }

    /// Takes the next token when it is `sign`.
    fn accept(&mut self, sign: char) -> Result<bool, Fault> {
        let token = self.take()?;
        let taken = token == Token::Sign(sign);
        if !taken {
            self.ahead = Some(token);
        }
        Ok(taken)
    }

    /// Fields up to `end`, which is taken.
    fn fields(&mut self, end: Token, depth: usize) -> Result<Block, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.tokens.wrong("blocks are nested too deep"));
        }
        let mut fields = Vec::new();
        loop {
            let name = match self.take()? {
                token if token == end => return Ok(Block { fields }),
                Token::Word(name) => name,
                Token::Sign(',' | ';') => continue,
                Token::End => return Err(self.tokens.wrong("the file ends inside a block; it is cut off")),
                other => return Err(self.tokens.wrong(&format!("a field name is expected, not {other:?}"))),
            };
            let colon = self.accept(':')?;
            if colon && self.accept('[')? {
                while !self.accept(']')? {
                    let value = self.value(depth)?;
                    fields.push(Field { name: name.clone(), value });
                    self.accept(',')?;
                }
                continue;
            }
            let value = self.value(depth)?;
            if !colon && matches!(value, Value::Scalar(_)) {
                return Err(self.tokens.wrong(&format!("a colon is missing behind `{name}`")));
            }
            fields.push(Field { name, value });
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        match self.take()? {
            Token::Sign('{') => Ok(Value::Block(self.fields(Token::Sign('}'), depth + 1)?)),
            Token::Sign('<') => Ok(Value::Block(self.fields(Token::Sign('>'), depth + 1)?)),
            Token::Word(word) => Ok(Value::Scalar(word)),
            Token::Quoted(mut text) => loop {
                // Strings side by side are one string.
                match self.take()? {
                    Token::Quoted(more) => text.push_str(&more),
                    other => {
                        self.ahead = Some(other);
                        return Ok(Value::Scalar(text));
                    }
                }
            },
            Token::End => Err(self.tokens.wrong("the file ends where a value is expected; it is cut off")),
            Token::Sign(sign) => Err(self.tokens.wrong(&format!("a value is expected, not `{sign}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_that_caffe_writes() {
        let text = br#"
            name: "net"  # a comment with { and "
            input_dim: 1 input_dim: -3, input_dim: 12;
            layer { name: 'it\'s' "joined"
                    convolution_param: < kernel_size: [3, 5] bias_term: false eps: 1e-5 > }
            layers { type: POOLING }
            empty {}
        "#;
        let net = Block::parse(text).unwrap();
        assert_eq!(net.text("name"), Some("net"));
        assert_eq!(net.numbers::<i64>("input_dim").unwrap(), [1, -3, 12]);
        let layer = net.block("layer").unwrap();
        assert_eq!(layer.text("name"), Some("it'sjoined"));
        let conv = layer.block("convolution_param").unwrap();
        assert_eq!(conv.numbers::<usize>("kernel_size").unwrap(), [3, 5]);
        assert_eq!(conv.flag("bias_term").unwrap(), Some(false));
        assert_eq!(conv.number::<f32>("eps").unwrap(), Some(1e-5));
        assert_eq!(net.block("layers").unwrap().text("type"), Some("POOLING"));
        assert_eq!(net.block("empty"), Some(&Block::default()));
        assert!(conv.numbers::<usize>("eps").is_err());
    }

    #[test]
    fn faults_name_the_line() {
        for (text, line, what) in [
            ("a: 1\nb {\n c: 2\n", "line 4", "ends inside a block"),
            ("a: 1\nb \"x\"", "line 2", "colon"),
            ("a: 1\n}\n", "line 2", "field name"),
            ("a: \"x\n\"", "line 1", "without an end"),
            ("a: $", "line 1", "not part"),
            ("a:", "line 1", "ends where"),
        ] {
            let error = Block::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(line) && error.contains(what), "{text:?} gave {error}");
        }
        assert!(Block::parse(&[0x0a, 0xff]).unwrap_err().to_string().contains("not a text file"));
        let deep = "a {".repeat(100_000);
        assert!(Block::parse(deep.as_bytes()).unwrap_err().to_string().contains("too deep"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-c:{}<>\\[\\]\"'#\\\\\n 0-9.;,é-]{0,200}") {
            let _ = Block::parse(text.as_bytes());
        }
    }
}
