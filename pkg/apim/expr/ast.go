package expr

// The syntax tree, before names and types are resolved. Every node knows the
// byte offset where it starts.

type syntax interface{ at() int }

type position int

func (p position) at() int { return int(p) }

type (
	literalSyntax struct {
		position
		value Value
	}
	interpolationSyntax struct {
		position
		parts []interpolationPart
	}
	nameSyntax struct {
		position
		name string
		args []*typeSyntax
	}
	memberSyntax struct {
		position // of the member's name
		x        syntax
		name     string
		args     []*typeSyntax
	}
	indexSyntax struct {
		position
		x    syntax
		args []argumentSyntax
	}
	callSyntax struct {
		position
		fn   syntax
		args []argumentSyntax
	}
	// conditionalAccessSyntax is x?.rest: rest contains one receiverSyntax,
	// which stands for x.
	conditionalAccessSyntax struct {
		position
		x, rest syntax
	}
	receiverSyntax struct{ position }
	unarySyntax    struct {
		position
		op string
		x  syntax
	}
	stepSyntax struct { // ++x, x--
		position
		op     string
		x      syntax
		prefix bool
	}
	binarySyntax struct {
		position
		op   string
		l, r syntax
	}
	assignmentSyntax struct {
		position
		op   string // "" for =, else the operator before it
		l, r syntax
	}
	conditionalSyntax struct {
		position
		test, then, otherwise syntax
	}
	castSyntax struct {
		position
		to *typeSyntax
		x  syntax
	}
	// typeTestSyntax is "x is T", "x is T name", and "x as T".
	typeTestSyntax struct {
		position
		x    syntax
		to   *typeSyntax
		name string
		as   bool
	}
	lambdaSyntax struct {
		position
		params []lambdaParam
		body   syntax
		block  *blockSyntax
	}
	newSyntax struct {
		position
		of   *typeSyntax
		args []argumentSyntax
		init *initializerSyntax
	}
	newArraySyntax struct {
		position
		elem *typeSyntax // nil in new[] {…}
		size syntax      // nil when the items tell
		init *initializerSyntax
	}
	newAnonymousSyntax struct {
		position
		names  []string
		values []syntax
	}
	defaultSyntax struct {
		position
		of *typeSyntax // nil for the literal default
	}
	typeNameSyntax struct { // a predefined type as a receiver: string.Join
		position
		of *typeSyntax
	}
)

type interpolationPart struct {
	text      string
	x         syntax // nil for plain text
	alignment syntax // nil when absent
	format    string
}

// argumentSyntax is [name:] x, or out x, or out T name.
type argumentSyntax struct {
	name    string
	x       syntax
	out     bool
	declare *typeSyntax
	pos     int
}

type lambdaParam struct {
	name string
	of   *typeSyntax // nil when inferred
}

type initializerSyntax struct {
	position
	items []initializerItem
}

// initializerItem is value, { value, … }, [key] = value or name = value.
type initializerItem struct {
	pos    int
	values []syntax
	key    syntax
	name   string
}

// typeSyntax is a written type. The last parts of a qualified name count.
type typeSyntax struct {
	position
	name     string
	args     []*typeSyntax
	nullable bool
	rank     int // number of [] after it
}

type (
	blockSyntax struct {
		position
		statements []syntax
	}
	declarationSyntax struct {
		position
		of     *typeSyntax
		names  []string
		values []syntax // nil where absent
		fixed  bool     // const
	}
	expressionStatement struct {
		position
		x syntax
	}
	ifSyntax struct {
		position
		test            syntax
		then, otherwise syntax
	}
	whileSyntax struct {
		position
		test   syntax
		body   syntax
		atLast bool // do … while
	}
	forSyntax struct {
		position
		init []syntax
		test syntax
		step []syntax
		body syntax
	}
	foreachSyntax struct {
		position
		of   *typeSyntax
		name string
		x    syntax
		body syntax
	}
	returnSyntax struct {
		position
		x syntax
	}
	jumpSyntax struct { // break, continue
		position
		word string
	}
	throwSyntax struct {
		position
		x syntax
	}
	trySyntax struct {
		position
		body, finally *blockSyntax
		catches       []catchSyntax
	}
	usingSyntax struct {
		position
		resource syntax
		body     syntax
	}
	switchSyntax struct {
		position
		x        syntax
		sections []switchSection
	}
)

type switchSection struct {
	labels    []syntax
	body      []syntax
	pos       int
	isDefault bool
}

type catchSyntax struct {
	of   *typeSyntax
	name string
	body *blockSyntax
}
