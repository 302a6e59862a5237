/* closest._distance: the edit distance of two strings. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static Py_ssize_t smallest(Py_ssize_t a, Py_ssize_t b, Py_ssize_t c)
{
    Py_ssize_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Wagner and Fischer's algorithm with one row: row[j] is the distance of the first i and j characters. */
static Py_ssize_t edits(PyObject *first, PyObject *second, Py_ssize_t *row)
{
    Py_ssize_t rows = PyUnicode_GET_LENGTH(first), columns = PyUnicode_GET_LENGTH(second);

    for (Py_ssize_t j = 0; j <= columns; j++) {
        row[j] = j;
    }
    for (Py_ssize_t i = 1; i <= rows; i++) {
        Py_ssize_t diagonal = row[0];
        row[0] = i;
        for (Py_ssize_t j = 1; j <= columns; j++) {
            int differ = PyUnicode_READ_CHAR(first, i - 1) != PyUnicode_READ_CHAR(second, j - 1);
            Py_ssize_t replaced = diagonal + differ;
            diagonal = row[j];
            row[j] = smallest(row[j] + 1, row[j - 1] + 1, replaced);
        }
    }
    return row[columns];
}

static PyObject *distance(PyObject *self, PyObject *arguments)
{
    PyObject *first, *second;
    (void) self;

    if (!PyArg_ParseTuple(arguments, "UU:distance", &first, &second)) {
        return NULL;
    }
    Py_ssize_t *row = PyMem_New(Py_ssize_t, PyUnicode_GET_LENGTH(second) + 1);
    if (row == NULL) {
        return PyErr_NoMemory();
    }
    Py_ssize_t result = edits(first, second, row);
    PyMem_Free(row);
    return PyLong_FromSsize_t(result);
}

static PyMethodDef methods[] = {
    {"distance", distance, METH_VARARGS, "Return how many characters to insert, delete or replace."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_distance",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__distance(void)
{
    return PyModule_Create(&module);
}
